"""The vocabulary of summary.json: each figure once, with its title, its meaning, how it is written and where it stands.

Whatever lists figures (the report, the terminal, comparisons, experiments) asks here. A new figure touches the place
that computes it and this file.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


def show(value: Any) -> str:
    """A value of summary.json as a reader likes to see it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(show(item) for item in value) or "none"
    return str(value)


def duration(seconds: float) -> str:
    """Seconds as "42 s", "3.1 min" or "2.2 h"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _share(value: float) -> str:
    return f"{value:.4f}"


def _nats(value: float) -> str:
    return f"{value:.4f} nats"


def _distance(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.1f}"


def _certified(value: float) -> str:
    return "given" if value else "withheld"


@dataclass(frozen=True)
class Figure:
    """What there is to say about a figure.

    Attributes:
        title: its name in tables.
        meaning: what it is, in a few words that follow the title.
        write: how a number or a truth value of it is written; `show` where it is left out.
        tile: its name in the headline of a report; left out, it has no place there.
        chance: the key of the figure that says what it would be by chance.
        column: the heading of its column in comparisons.
        compared: the comparisons that have this column: of a track, "rule", "points" or "images", or of the further
            figures of images, "features", and "inception" or "classifier" by what samples are compared with.
    """

    title: str
    meaning: str = ""
    write: Callable[[Any], str] = show
    tile: str = ""
    chance: str = ""
    column: str = ""
    compared: tuple[str, ...] = ()


TEST = "Test figures"
ALL, CLUSTERS, SAMPLES = ("rule", "points", "images"), ("points", "images"), ("inception", "classifier")

# by section of a report, and in it by key of summary.json, whose levels are joined by dots
SECTIONS: Mapping[str, Mapping[str, Figure]] = {
    TEST: {
        "accuracy": Figure(
            "Accuracy", "share of the test images that get their true symbol", _share, "Accuracy",
            column="accuracy", compared=("rule",),
        ),
        "nmi": Figure(
            "NMI", "normalised mutual information of clusters and classes, from 0, unrelated, to 1, equal",
            _share, "NMI", column="NMI", compared=ALL,
        ),
        "ami": Figure("AMI", "NMI corrected for chance", _share, column="AMI", compared=ALL),
        "cluster_accuracy": Figure(
            "Hungarian accuracy", "accuracy after the best one-to-one renaming of the clusters", _share,
            "Hungarian accuracy", column="Hungarian", compared=ALL,
        ),
        "ece": Figure(
            "Calibration error", "ECE: mean distance of the predictions' probabilities from the share that is right",
            _share,
        ),
        "nmi_batch64": Figure(
            "Mean NMI of batches of 64", "higher than NMI, because small batches agree by chance", _share,
            chance="nmi_batch64_chance", column="NMI of 64s", compared=("images",),
        ),
        "nmi_batch64_chance": Figure(
            "The same by chance", "for clusters of these sizes at random", _share,
            column="chance", compared=("images",),
        ),
        "linear_probe": Figure(
            "Linear probe", "accuracy of a linear classifier that learns labels from the encoder's features", _share,
            column="probe", compared=("features",),
        ),
        "knn": Figure(
            "Nearest neighbours", "accuracy of the labels of the nearest training images", _share,
            column="kNN", compared=("features",),
        ),
        "constraint_satisfaction": Figure(
            "Constraint satisfaction", "share of the test examples whose symbols satisfy the rule", _share,
            "Rule satisfied", column="rule", compared=("rule",),
        ),
        "answer_accuracy": Figure(
            "Answer accuracy", "share of the test examples whose arguments are the most probable ones", _share
        ),
        "test_constraint_log_likelihood": Figure(
            "Log-likelihood of the rule", "mean log P(rule | images) of the test examples", _nats
        ),
        "train_constraint_satisfaction": Figure(
            "Constraint satisfaction", "share of the training rows whose symbols satisfy the rule", _share,
            "Rule satisfied",
        ),
        "train_answer_accuracy": Figure(
            "Answer accuracy", "share of the training rows whose arguments are the most probable ones", _share
        ),
        "train_constraint_log_likelihood": Figure(
            "Log-likelihood of the rule", "mean log P(rule | images) of the training rows", _nats
        ),
        "break_the_rule": Figure("Rows that break the rule", "training rows whose symbols can't all be right"),
        "log_likelihood": Figure(
            "Log-likelihood", "mean log p(x) of the test points; p is normalised on a box around them", _nats,
            column="log p", compared=("points",),
        ),
        "kde_log_likelihood": Figure(
            "Log-likelihood of a KDE", "the same for a kernel density estimate on the training points", _nats,
            column="log p (KDE)", compared=("points",),
        ),
    },
    "Samples": {
        "samples.FID": Figure(
            "FID", "Fréchet distance to training images in Inception's features", _distance,
            column="FID", compared=("inception",),
        ),
        "samples.KID": Figure(
            "KID", "kernel distance in the same features", _distance, column="KID", compared=("inception",)
        ),
        "samples.FD(classifier)": Figure(
            "FD(classifier)", "Fréchet distance to training images in the features of a small classifier", _distance,
            column="FD(classifier)", compared=("classifier",),
        ),
        "samples.KD(classifier)": Figure(
            "KD(classifier)", "kernel distance in the same features", _distance,
            column="KD(classifier)", compared=("classifier",),
        ),
        "samples.precision": Figure(
            "Precision", "share of the samples that lie among training images", _share,
            column="precision", compared=SAMPLES,
        ),
        "samples.recall": Figure(
            "Recall", "share of the training images that lie among samples", _share,
            column="recall", compared=SAMPLES,
        ),
        "samples.images": Figure("Number of samples", column="samples", compared=SAMPLES),
        "trained_with_gen": Figure("Trained with L_GEN", column="L_GEN", compared=SAMPLES),
    },
    "What the run says about itself, without labels": {
        "certificate.certified": Figure(
            "Certificate", "given where there is no reason for doubt, and matching or restarts had one clear result",
            _certified, "Certificate", column="certified", compared=ALL,
        ),
        "certificate.failures": Figure(
            "Reasons for doubt", "about the predictions, the search for symbols or the energies"
        ),
        "certificate.D": Figure(
            "D", "L_INV + L_PRIOR minus its optimum; near 0 it rules out collapse, imbalance and inconsistency", _nats,
            column="D", compared=CLUSTERS,
        ),
        "certificate.restart_agreement": Figure(
            "Agreement of restarts", "share of the examples with the same symbol or cluster in another restart", _share
        ),
        "certificate.matching_margin": Figure(
            "Margin of matching", "lead of the symbols found over all others, as a share of that over random ones",
            _share,
        ),
        "certificate.rival_lead": Figure(
            "Lead over a rival", "how much better a network fits the rule than one that learned the symbols next in "
            "likeness, where the margin of matching is small", _nats,
        ),
        "certificate.readings_seen": Figure(
            "Readings of the examples",
            "one-to-one renamings of the symbols that satisfy the rule on what the run sees in its examples",
        ),
        "matching.likeness": Figure("Matched by", "what said, before any training, which inputs are alike"),
        "matching.separation": Figure(
            "Separation", "how often the likest inputs of other examples vote for symbols that satisfy the rule, 0 as "
            "by chance and 1 always", _share
        ),
        "matching.told": Figure(
            "Told by labels", "how much liker inputs are to their own labelled inputs than to those of another symbol, "
            "of two that the rule can't tell apart, and labels the least; below 0.25 it is too little",
        ),
        "unmatched": Figure(
            "Separation, unmatched", "of the symbols that matching found, where restarts took its place", _share
        ),
        "certificate.energy_gap": Figure(
            "Energy gap", "mean energy of images minus mean energy of samples; best near 0", _nats
        ),
        "certificate.sample_variety": Figure(
            "Variety of samples", "entropy of their symbols divided by the entropy of the images' symbols; best near 1",
            _share,
        ),
        "certificate.missing_symbols": Figure(
            "Missing from samples", "share of the images whose symbols hardly a sample shows, beyond chance; best 0",
            _share,
        ),
        "certificate.sample_distance": Figure(
            "Distance of samples", "to the nearest image, divided by the distance between images; best near 1", _share
        ),
    },
    "The run": {
        "track": Figure("Kind", "rule: symbols; points or images: clusters without a rule"),
        "recipe": Figure("Recipe"),
        "method": Figure("Method"),
        "dataset": Figure("Dataset"),
        "table": Figure("Table"),
        "program": Figure("Rule"),
        "examples": Figure("Training examples"),
        "images_reused": Figure(
            "Images reused", "whether examples share images because the dataset has too few for all of them"
        ),
        "seed": Figure("Seed"),
        "steps": Figure("Training steps"),
        "ended_early": Figure("Ended early", "stages whose share of the budget of time was over"),
        "seconds": Figure(
            "Time", "of all stages, without the evaluation", duration, "Time", column="seconds", compared=ALL
        ),
        "device": Figure("Device"),
        "machine.system": Figure("System"),
        "machine.processor": Figure("Processor"),
        "machine.instructions": Figure("Instructions", "the CPU's vector instructions, which decide torch's kernels"),
        "machine.threads": Figure("Threads"),
    },
}  # fmt: skip
FIGURES: Mapping[str, Figure] = {key: figure for section in SECTIONS.values() for key, figure in section.items()}

# of an example: each score that tells foreign ones from familiar ones, and what it is called
SCORES = {"energy": "energy", "max_softmax": "max softmax", "views": "views", "gradient": "gradient"}
SCORES_EXPLAINED = {
    "energy": "log p(x) up to a constant, -E(x)",
    "max_softmax": "how sure the network is of its symbol or cluster, max p(y|x)",
    "views": "familiarity, as in predict: log p(x) and certainty together, on slightly changed copies",
    "gradient": "how flat the density is there, -||d log p(x)/dx|| (the paper's score)",
    "published": "the paper's AUROC of the gradient",
}


def written(key: str, value: Any) -> str:
    """A value as its figure is written; what is no number, and of which no figure is known, by `show`."""
    return FIGURES[key].write(value) if key in FIGURES and isinstance(value, int | float) else show(value)


def compared(*comparisons: str) -> dict[str, str]:
    """The figures that any of these comparisons has a column of, by key, with the columns' headings."""
    return {key: figure.column for key, figure in FIGURES.items() if set(comparisons) & set(figure.compared)}


@dataclass(frozen=True)
class Track:
    """What a report calls a kind of run, and what it was trained on."""

    name: str
    examples: str


TRACKS = {
    "rule": Track("GEDI-NeSy", "examples"),
    "points": Track("GEDI vision", "points"),
    "images": Track("GEDI vision", "images"),
}

# of a prediction: what follows from how familiar the image is
VERDICTS = {
    "familiar": "like the training images",
    "unusual": "unlike most training images; look at the second symbol, too",
    "foreign": "unlike the training images, so its symbol means little",
    "blank": "a blank image: nothing to read",
    "inverted": "light and dark seem to be swapped, so the symbol means little",
}
