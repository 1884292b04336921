"""What the paper reports for its toys: Tables 2 and 3, mean ± standard deviation of the test NMI over 5 runs."""

from gedi_nesy.report.comparison import Kind, Spread

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
