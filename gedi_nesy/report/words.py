"""The figures of summary.json in plain words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# the key in summary.json, levels joined by dots: label, meaning
MEANINGS = {
    "accuracy": ("Accuracy", "share of the test images that get their true symbol"),
    "nmi": ("NMI", "normalised mutual information of clusters and classes, whole test set: 1 perfect, 0 unrelated"),
    "ami": ("AMI", "the same, corrected for chance"),
    "cluster_accuracy": ("Hungarian accuracy", "accuracy after the best one-to-one renaming of the clusters"),
    "constraint_satisfaction": ("Constraint satisfaction", "share of test examples whose symbols fit the rule"),
    "test_constraint_log_likelihood": ("Log-likelihood of the rule", "mean log P(rule | images), test set, in nats"),
    "train_constraint_satisfaction": ("Constraint satisfaction", "share of training rows whose symbols fit the rule"),
    "train_constraint_log_likelihood": (
        "Log-likelihood of the rule", "mean log P(rule | images), training examples, in nats"
    ),
    "break_the_rule": ("Rows that break the rule", "rows of the table whose symbols can't all be right"),
    "log_likelihood": ("Log-likelihood", "mean log p(x) of the test points, normalised on a box around them, in nats"),
    "kde_log_likelihood": ("Log-likelihood of a KDE", "the same of a kernel density estimate on the training points"),
    "certificate.certified": ("Certified", "no failure mode found, and one clear result of restarts or of matching"),
    "certificate.failures": ("Failure modes found", "of the clusters, of the search for symbols, of the energies"),
    "certificate.D": ("D", "L_INV + L_PRIOR less its optimum, in nats; near 0 rules the three failure modes out"),
    "certificate.restart_agreement": ("Agreement of restarts", "share with the same symbol or cluster in another"),
    "certificate.matching_margin": ("Margin of matching", "lead of the symbols found over all others, by shape"),
    "certificate.energy_gap": ("Energy gap", "mean energy of images less that of samples, in nats; best near 0"),
    "certificate.sample_variety": ("Variety of samples", "entropy of their symbols over that of the images'; best 1"),
    "certificate.sample_distance": ("Distance of samples", "to the nearest image, over that between images; best 1"),
    "recipe": ("Recipe", ""),
    "method": ("Method", ""),
    "dataset": ("Dataset", ""),
    "table": ("Table", ""),
    "program": ("Rule", ""),
    "track": ("Kind", "rule: symbols; points, images: clusters without a rule"),
    "examples": ("Training examples", ""),
    "images_reused": ("Images reused", "whether the dataset was too small to give each example images of its own"),
    "seed": ("Seed", ""),
    "steps": ("Training steps", ""),
    "seconds": ("Seconds", "all stages, evaluation apart"),
    "device": ("Device", ""),
    "machine.system": ("System", ""),
    "machine.processor": ("Processor", ""),
    "machine.instructions": ("Instructions", "of the CPU, by which torch picks its kernels"),
    "machine.threads": ("Threads", ""),
}  # fmt: skip

SECTIONS = {
    "Test figures": (
        "accuracy", "nmi", "ami", "cluster_accuracy", "constraint_satisfaction", "test_constraint_log_likelihood",
        "train_constraint_satisfaction", "train_constraint_log_likelihood", "break_the_rule",
        "log_likelihood", "kde_log_likelihood",
    ),
    "What the run says about itself, without labels": (
        "certificate.certified", "certificate.failures", "certificate.D", "certificate.restart_agreement",
        "certificate.matching_margin", "certificate.energy_gap", "certificate.sample_variety",
        "certificate.sample_distance",
    ),
    "The run": (
        "track", "recipe", "method", "dataset", "table", "program", "examples", "images_reused", "seed", "steps",
        "seconds", "device", "machine.system", "machine.processor", "machine.instructions", "machine.threads",
    ),
}  # fmt: skip


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

# a picture's file name, without .png: title, caption
CAPTIONS = {
    "symbols": (
        "Images by symbol",
        "The images of the table by the symbol that the network sees in them, the surest first. Beside each symbol: "
        "how many there are, and how sure it is of them.",
    ),
    "rows": (
        "Rows to look at",
        "Rows of the table that break the rule, then those least likely under it; P is the probability of the rule "
        "given the row's images. Lines are counted as in the file, its heading being the first.",
    ),
    "losses": (
        "Losses",
        "Each term of the objective, before its weight, at the steps that were logged; where these are many, the "
        "strong line is a running mean. Dashed: the term's value at its optimum, where that is known.",
    ),
    "samples": (
        "Samples",
        "What the energy-based model draws by itself (SGLD), sorted by the symbol or cluster that the network sees in "
        "it, the surest first. An empty row is one that it never draws.",
    ),
    "clusters": ("Clusters", "The cluster that the network sees at every place of the plane, and the test points."),
    "density": (
        "Density",
        "log p(x) from its highest value, dark, to 12 nats below, white, with the test points; beside it, where L_GEN "
        "was on, the model's own samples.",
    ),
    "training": (
        "Over training",
        "Clusters above and logsumexp f(x) below, at the beginning, middle and end of each stage: a density once "
        "L_GEN is on.",
    ),
    "comparison": (
        "Plot",
        "Every run is a dot, a line goes through the medians; short bars are what the paper reports.",
    ),
    "confusion": (
        "Confusion",
        "Test images by true and predicted class. The colour is the share of the true class.",
    ),
}


# of `ood`: what tells familiar examples from foreign ones
SCORES = {
    "energy": "log p(x) up to a constant, -E(x)",
    "max_softmax": "how sure the network is of its symbol or cluster, max p(y|x)",
    "views": "familiarity, as in predict: log p(x) and certainty together, on slightly changed copies",
    "gradient": "how flat the density is there, -||d log p(x)/dx|| (the paper's score)",
    "published": "the paper's AUROC of the gradient",
}

# of a prediction: what follows from how familiar the image is
VERDICTS = {
    "familiar": "like the training images",
    "unusual": "unusual beside the training images; look at the second symbol, too",
    "foreign": "unlike the training images, so its symbol means little",
    "blank": "a blank image: nothing to read",
    "inverted": "light and dark are swapped, it seems, and the symbol means little",
}


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


def _share(value: float) -> tuple[str, bool]:
    return f"{value:.3f}", False


# the headline: key, then its label and how to show it (text, and whether it is cause for doubt)
TILES: dict[str, tuple[str, Callable[[Any], tuple[str, bool]]]] = {
    "accuracy": ("Accuracy", _share),
    "nmi": ("NMI", _share),
    "cluster_accuracy": ("Hungarian accuracy", _share),
    "constraint_satisfaction": ("Rule satisfied", _share),
    "train_constraint_satisfaction": ("Rule satisfied", _share),
    "certificate.certified": ("Certificate", lambda certified: ("given" if certified else "withheld", not certified)),
    "seconds": ("Time", lambda seconds: (duration(seconds), False)),
}
