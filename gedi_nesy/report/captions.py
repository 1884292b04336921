"""Title and caption of each picture of a run or a comparison, and the order in which a report shows them."""

# by the picture's file name without .png
CAPTIONS = {
    "examples": (
        "Examples of the rule",
        "Test examples, or the rows of a table; P is the probability of the rule given the images. Below each image "
        "stands the symbol that was read, orange where a label says another one. Lines of a table are counted as in "
        "the file, whose heading is line 1.",
    ),
    "symbols": (
        "Images by symbol",
        "The images of the table, sorted by the symbol that the network sees in them, the surest first, 16 at most. "
        "Beside each symbol: how many images it has, and how sure the network is of them.",
    ),
    "samples": (
        "Samples",
        "Images that SGLD draws from the energy-based model, sorted by the symbol or cluster that the network sees in "
        "them, the surest first, 16 at most. An empty row belongs to a symbol or cluster that no sample shows.",
    ),
    "neighbours": (
        "Samples and the training images nearest to them",
        "Pairs from the nearest to the farthest, with their Euclidean distance, of intensities from 0 to 1. A model "
        "that repeats its training images shows equal pairs; one that has not learned them shows samples like no "
        "image.",
    ),
    "energies": (
        "Energies",
        "Training inputs, the model's own samples and outliers: images turned by 90 degrees or with light and dark "
        "swapped, and uniform noise; of vectors those with features of others. Samples should lie where the training "
        "inputs do, outliers to the right.",
    ),
    "reliability": (
        "Reliability",
        "Test images in bins by the probability of their predicted symbol: how many of each bin are right, and below "
        "how many images it has. On the dashed line probabilities are right. ECE is the mean distance from it.",
    ),
    "confusion": (
        "Confusion",
        "Test images by true class and predicted class. The colour is the share of the true class.",
    ),
    "clusters": ("Clusters", "The cluster that the network sees at every place of the plane, and the test points."),
    "density": (
        "Density",
        "log p(x), dark where it is highest and white from 12 nats below, and the test points. Beside it, if L_GEN was "
        "on, the model's own samples.",
    ),
    "training": (
        "Over training",
        "The clusters, above, and logsumexp f(x), below, at the beginning, in the middle and at the end of each stage: "
        "a density once L_GEN is on.",
    ),
    "losses": (
        "Losses",
        "Each term of the objective, before its weight, at the steps that were logged. Where there are many, the "
        "strong line is a running mean. The dashed line is the optimum of the term, where it is known.",
    ),
    "comparison": (
        "Plot",
        "Each dot is a run, the line joins the medians, and short bars are what the paper reports.",
    ),
}

CHARTS = {"energies", "reliability", "confusion", "losses", "comparison"}  # that stay right with light and dark swapped


def caption(stem: str) -> tuple[str, str]:
    """Title and caption of a picture by its file name; one of several networks has the network's name at its end."""
    kind, _, network = stem.partition("-")
    title, text = CAPTIONS.get(kind, (stem, ""))
    return f"{title}: {network}" if network and kind in CAPTIONS else title, text


def place(stem: str) -> int:
    """The place of a picture in a report: known pictures come in the order of their captions, then all others."""
    kinds = list(CAPTIONS)
    kind = stem.partition("-")[0]
    return kinds.index(kind) if kind in kinds else len(kinds)


def is_chart(stem: str) -> bool:
    """Whether a picture by its file name shows no images, so that a dark page may swap its light and dark."""
    return stem.partition("-")[0] in CHARTS
