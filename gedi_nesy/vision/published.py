"""The figures that the paper reports.

Tables 2 and 3, on toys: mean ± standard deviation of the test NMI over 5 runs. Tables 4, 5 and 10 to 12, on images:
NMI (almost surely a mean over batches of 64), FID, linear probe, and AUROC of the gradient score.
"""

from gedi_nesy.report.comparison import Kind, Spread

NOISE = 0.05  # of the paper's toys
TABLES_2_AND_3: dict[Kind, dict[str, Spread]] = {
    ("jem", "moons"): {"nmi": Spread(0.00, None)},
    ("barlow", "moons"): {"nmi": Spread(0.22, 0.10)},
    ("swav", "moons"): {"nmi": Spread(0.76, 0.36)},
    ("gedi-no-prior", "moons"): {"nmi": Spread(0.00, None)},
    ("gedi-no-inv", "moons"): {"nmi": Spread(0.11, 0.15)},
    ("gedi-no-gen", "moons"): {"nmi": Spread(0.98, 0.00)},
    ("gedi", "moons"): {"nmi": Spread(0.94, 0.07)},
    ("jem", "circles"): {"nmi": Spread(0.00, None)},
    ("barlow", "circles"): {"nmi": Spread(0.13, 0.10)},
    ("swav", "circles"): {"nmi": Spread(0.00, None)},
    ("gedi-no-prior", "circles"): {"nmi": Spread(0.00, None)},
    ("gedi-no-inv", "circles"): {"nmi": Spread(0.22, 0.13)},
    ("gedi-no-gen", "circles"): {"nmi": Spread(0.83, 0.12)},
    ("gedi", "circles"): {"nmi": Spread(1.00, 0.01)},
}

_METHODS = ("jem", "barlow", "swav", "gedi-no-gen", "gedi")  # the columns of what follows
_FIGURES: dict[str, dict[str, tuple[float, ...]]] = {
    "svhn": {
        "nmi_batch64": (0.00, 0.20, 0.21, 0.27, 0.25),
        "FID": (201, 334, 480, 488, 193),
        "linear_probe": (0.20, 0.75, 0.44, 0.59, 0.54),
    },
    "cifar10": {
        "nmi_batch64": (0.00, 0.17, 0.44, 0.45, 0.44),
        "FID": (223, 382, 410, 403, 214),
        "linear_probe": (0.24, 0.65, 0.50, 0.63, 0.63),
    },
    "cifar100": {
        "nmi_batch64": (0.00, 0.61, 0.51, 0.87, 0.87),
        "FID": (271, 403, 420, 435, 226),
        "linear_probe": (0.03, 0.27, 0.14, 0.31, 0.31),
    },
}
_AUROC: dict[str, dict[str, tuple[float, ...]]] = {
    "svhn": {"cifar10": (0.73, 0.17, 0.26, 0.10, 0.80), "cifar100": (0.72, 0.24, 0.32, 0.15, 0.80)},
    "cifar10": {"svhn": (0.44, 0.32, 0.62, 0.11, 0.57), "cifar100": (0.53, 0.56, 0.51, 0.51, 0.61)},
    "cifar100": {"svhn": (0.44, 0.45, 0.30, 0.55, 0.53), "cifar10": (0.49, 0.43, 0.47, 0.46, 0.48)},
}


def _by_kind(rows: dict[str, dict[str, tuple[float, ...]]]) -> dict[Kind, dict[str, float]]:
    return {
        (method, dataset): {name: values[column] for name, values in rows[dataset].items()}
        for column, method in enumerate(_METHODS)
        for dataset in rows
    }


FIGURES_ON_IMAGES = _by_kind(_FIGURES)  # (method, trained on): {figure: value}
AUROC_ON_IMAGES = _by_kind(_AUROC)  # (method, trained on): {foreign data set: value}


def _of_a_comparison(kind: Kind) -> dict[str, Spread]:
    """Single runs, by the keys of evaluation.json."""
    figures, scores = FIGURES_ON_IMAGES[kind], AUROC_ON_IMAGES[kind]
    values = {("samples.FID" if name == "FID" else name): value for name, value in figures.items()}
    values |= {f"auroc.{name}.gradient": value for name, value in scores.items()}
    return {key: Spread(value, None) for key, value in values.items()}


ON_IMAGES: dict[Kind, dict[str, Spread]] = {kind: _of_a_comparison(kind) for kind in FIGURES_ON_IMAGES}
