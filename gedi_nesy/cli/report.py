"""The command for the report of a run of either track."""

from pathlib import Path

import click

from gedi_nesy.cli.group import Command
from gedi_nesy.cli.shared import FOLDER


@click.command(cls=Command)
@click.argument("run", type=FOLDER)
def report(run: Path) -> None:
    """Write a finished run's report.html again, with all pictures in its folder, and print its path.

    \b
    Example:
      gedi-nesy report runs/first
    """

    from gedi_nesy.report.rewrite import rewrite_report

    click.echo(rewrite_report(run))
