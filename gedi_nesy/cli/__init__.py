"""The command line: parse, call, print."""

import click

from gedi_nesy.cli.group import Commands

OF_A_RULE = ("train", "compare", "evaluate", "predict", "query", "sample", "ood", "check", "recipes")
MODULES = dict.fromkeys(OF_A_RULE, "gedi_nesy.cli.nesy")
MODULES |= {"report": "gedi_nesy.cli.report", "vision": "gedi_nesy.cli.vision"}


@click.group(
    cls=Commands,
    modules=MODULES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="gedi-nesy")
def main() -> None:
    """Neural networks that learn symbols without labels, from a ProbLog rule and an energy-based model."""
