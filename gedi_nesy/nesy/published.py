"""What the paper reports for MNIST addition: its Table 6, median ± standard deviation on the test images."""

from gedi_nesy.report.comparison import Kind, Spread

# (method, training examples) -> figure of summary.json; the paper gives no deviation where there is None
TABLE_6: dict[Kind, dict[str, Spread]] = {
    ("nesy", 100): {"accuracy": Spread(0.10, None), "nmi": Spread(0.00, None)},
    ("nesy", 1000): {"accuracy": Spread(0.10, None), "nmi": Spread(0.00, None)},
    ("nesy", 10000): {"accuracy": Spread(0.10, None), "nmi": Spread(0.00, None)},
    ("gedi", 100): {"accuracy": Spread(0.08, 0.01), "nmi": Spread(0.22, 0.03)},
    ("gedi", 1000): {"accuracy": Spread(0.09, 0.03), "nmi": Spread(0.29, 0.06)},
    ("gedi", 10000): {"accuracy": Spread(0.11, 0.05), "nmi": Spread(0.44, 0.10)},
    ("swav+nesy", 100): {"accuracy": Spread(0.14, None), "nmi": Spread(0.19, None)},
    ("swav+nesy", 1000): {"accuracy": Spread(0.10, None), "nmi": Spread(0.36, None)},
    ("swav+nesy", 10000): {"accuracy": Spread(0.10, None), "nmi": Spread(0.40, None)},
    ("paper", 100): {"accuracy": Spread(0.42, 0.02), "nmi": Spread(0.35, 0.01)},
    ("paper", 1000): {"accuracy": Spread(0.96, 0.01), "nmi": Spread(0.91, 0.01)},
    ("paper", 10000): {"accuracy": Spread(0.97, 0.00), "nmi": Spread(0.93, 0.00)},
}
