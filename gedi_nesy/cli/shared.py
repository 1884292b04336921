"""What the commands of both tracks share: kinds of options, and how results and failures are printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console, RenderableType
from rich.status import Status
from rich.table import Table
from rich.text import Text

from gedi_nesy.errors import UserError
from gedi_nesy.methods import check_method

if TYPE_CHECKING:
    from gedi_nesy.report.comparison import Comparison


Result = TypeVar("Result")  # plain values, ready for JSON
FOLDER = click.Path(path_type=Path)
MOST = 10**9  # of anything that can be counted
NUMBER, COUNT, SEVERAL = (click.IntRange(least, MOST) for least in (0, 1, 2))
SEED = click.IntRange(0, 2**28 - 1)  # as recipes have it
SEEDS = click.IntRange(1, 10_000)
SECONDS = click.FloatRange(0, min_open=True)
OPTIONS_OF = {"recipe": "--recipe", "method": "--method", "out": "--out", "data_dir": "--data-dir"}
as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
LOGS = ("csv", "tensorboard")  # as runs.logs has them, which loads torch
log = click.option("--log", type=click.Choice(LOGS), multiple=True, help="Log the curves this way too; repeatable.")


class Picture(click.Path):
    """A path where a PNG can be written, which is checked before hours of work."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path."""
        path = Path(str(value))
        if path.suffix.lower() != ".png":
            self.fail(f"{path} is no .png file", param, ctx)
        if not path.parent.is_dir():
            self.fail(f"there is no folder {path.parent}", param, ctx)
        return path


class Size(click.ParamType):
    """A side in pixels, or height x width, as (height, width)."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """The two sides."""
        sides = str(value).split("x")
        if len(sides) > 2 or not all(side.isdecimal() and int(side) for side in sides):
            self.fail(f"{value!r} is no size; write 64, or 48x64 for height and width", param, ctx)
        return int(sides[0]), int(sides[-1])


class Method(click.ParamType):
    """One of some methods; for any other name the message says which is nearest."""

    name = "method"

    def __init__(self, names: Sequence[str]):
        self.names = names

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Its name."""
        try:
            check_method(value, self.names)
        except UserError as error:
            self.fail(str(error), param, ctx)
        return str(value)


class Commas(click.ParamType):
    """Values of one type, separated by commas; a value that is given twice counts once."""

    name = "list"

    def __init__(self, item: click.ParamType):
        self.item = item

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """The values, in order."""
        if not all(text.strip() for text in value.split(",")):
            self.fail(f"{value!r} has an empty entry", param, ctx)
        return tuple(dict.fromkeys(self.item.convert(text.strip(), param, ctx) for text in value.split(",")))


def working(at: str) -> Status:
    """A spinner on the screen, beside a word for the present work; use it as a context manager."""
    return Console(stderr=True).status(at)


def read_settings(texts: Iterable[str]) -> dict[str, Any]:
    """The settings that --set gives.

    Raises:
        UserError: for a text that is no key=value, or a setting that has an option of its own.
    """
    from gedi_nesy.runs.settings import parse_setting

    settings = dict(parse_setting(text) for text in texts)
    for key, option in OPTIONS_OF.items():
        if key in settings:
            raise UserError(f"--set {key} has no place here; use {option}.")
    for key in ("notify", "progress"):  # what `train` takes beside settings
        if key in settings:
            raise UserError(f"There is no setting {key!r}; a run's config.toml lists them all.")
    return settings


def comparison_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a comparison its options: how many seeds, which settings, and where its runs train."""
    options = (
        click.option("--seeds", type=SEEDS, default=5, show_default=True, help="How many seeds."),
        click.option("--first-seed", type=SEED, default=0, show_default=True),
        click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change every recipe; repeatable."),
        click.option("--jobs", type=COUNT, help="Runs at a time, one thread each.  [default: one a core]"),
        click.option("--cluster", metavar="ADDRESS", help="A Dask scheduler whose workers train; all must see --out."),
    )
    for option in reversed(options):
        command = option(command)
    return command


class CountOrAll(click.ParamType):
    """A count, or "all"."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, or the word."""
        if value == "all":
            return value
        try:
            return COUNT.convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is neither a number of 1 or more nor all", param, ctx)


def refuse_other_settings(ctx: click.Context) -> None:
    """Refuse settings beside --resume, which would be ignored: a run is resumed with its own."""
    given = _given(ctx) - {"--resume", "--trust", "--data-dir", "--json"}
    if given:
        raise click.UsageError(f"--resume continues a run with its own settings; leave out {min(given)}.")


def refuse_pairs(ctx: click.Context) -> None:
    """Refuse two options of which one would silently win over the other."""
    recipes = [{"--recipe", "--method"}, {"--recipe", "--published"}, {"--quick", "--recipe"}, {"--quick", "--method"}]
    data = [{"--data", other} for other in ("--examples", "--dataset", "--support")]
    for pair in [*recipes, *data, {"--features", "--features-from"}]:
        if pair <= _given(ctx):
            raise click.UsageError(f"{' and '.join(sorted(pair))} exclude each other; leave one out.")


def _given(ctx: click.Context) -> set[str]:
    """The options that stand on the command line."""
    from_command_line = click.core.ParameterSource.COMMANDLINE
    return {p.opts[0] for p in ctx.command.params if ctx.get_parameter_source(str(p.name)) is from_command_line}


def show(result: Result, as_table: Callable[[Result], RenderableType], as_json: bool) -> None:
    """Print a result, as a table or as JSON."""
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        Console().print(as_table(result))


def show_comparison(comparison: Comparison, out: Path, console: Console, as_json: bool) -> None:
    """Print the tally of a comparison; it has failed if one of its runs has."""
    from gedi_nesy.report.comparison import text_table

    if as_json:
        click.echo(json.dumps(comparison.to_dict(), indent=2))
    else:
        console.print(text_table(comparison), soft_wrap=True, markup=False, highlight=False)
        console.print("Median ± standard deviation over the seeds, test set.", highlight=False)
        where = f"Table, plot, CSV and JSON are in {out}/comparison.*; open its comparison.html."
        console.print(where, soft_wrap=True, markup=False, highlight=False)
    failed = sum(line.failed for line in comparison.lines())
    if failed:
        runs = len(comparison.outcomes)
        raise click.ClickException(f"{failed} of {runs} runs failed; the same command tries them again.")


def show_recipes(about: Mapping[str, str], as_json: bool) -> None:
    """Print the names of the recipes, each with what it trains."""
    show(about, _recipe_table, as_json)


def _recipe_table(about: Mapping[str, str]) -> Table:
    table = Table("recipe", "what it is", box=None)
    for name, text in about.items():
        table.add_row(Text(name), Text(text))
    return table
