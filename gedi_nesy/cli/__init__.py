"""The command line: parse, call, print."""

from pathlib import Path

import click

from gedi_nesy.cli import nesy, vision
from gedi_nesy.cli.shared import FOLDER, Commands
from gedi_nesy.report.rewrite import rewrite_report


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="gedi-nesy")
def main() -> None:
    """Neural networks that learn symbols without labels, from a ProbLog rule and an energy-based model."""


@main.command()
@click.argument("run", type=FOLDER)
def report(run: Path) -> None:
    """Write a finished run's report.html again, with all pictures in its folder, and print its path.

    \b
    Example:
      gedi-nesy report runs/first
    """
    click.echo(rewrite_report(run))


for command in (nesy.train, nesy.compare, nesy.evaluate, nesy.predict, nesy.query, nesy.sample, nesy.ood, nesy.check):
    main.add_command(command)
main.add_command(nesy.recipes)
main.add_command(vision.vision)
