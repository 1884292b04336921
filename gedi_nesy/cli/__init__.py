"""The command line: parse, call, print."""

import click

from gedi_nesy.cli.group import Commands

OF_A_RULE = ("train", "compare", "evaluate", "predict", "query", "sample", "ood", "check", "demo", "recipes")
MODULES = dict.fromkeys(OF_A_RULE, "gedi_nesy.cli.nesy")
MODULES |= {"report": "gedi_nesy.cli.report", "vision": "gedi_nesy.cli.vision"}
SUMMARIES = {  # the first sentence of each command's help, here so that the list of all needs no torch
    "check": "Check a rule",
    "compare": "Train several methods on several numbers of examples and seeds",
    "demo": "Draw or drop an image for each variable of the rule in a browser",
    "evaluate": "Score a finished run on the test images again",
    "ood": "Measure how well scores tell the run's own images from foreign ones",
    "predict": "Predict the symbol on each image file",
    "query": "Ask DeepProbLog's own solver about test images",
    "recipes": "List the recipes: the paper's rows and ours",
    "report": "Write a finished run's report.html again",
    "sample": "Draw images from the energy model with SGLD",
    "train": "Train a network from a rule, without labels",
    "vision": "The vision track: clusters and density of points and images",
}


@click.group(
    cls=Commands,
    modules=MODULES,
    summaries=SUMMARIES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="gedi-nesy")
def main() -> None:
    """Neural networks that learn symbols without labels, from a ProbLog rule and an energy-based model."""
