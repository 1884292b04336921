"""The command line: parse, call, print."""

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from gedi_nesy.errors import UserError
from gedi_nesy.nesy.check import check_rule
from gedi_nesy.nesy.files import predict_files
from gedi_nesy.nesy.picture import draw_samples
from gedi_nesy.nesy.recipe import METHODS, load_recipe, parse_setting, recipe_for, recipe_names
from gedi_nesy.nesy.run import Run, load_run
from gedi_nesy.nesy.train import resume as resume_run
from gedi_nesy.nesy.train import train as train_run
from gedi_nesy.nesy.watch import Interrupted
from gedi_nesy.report.console import ProgressDisplay, rule_table, summary_table

FOLDER = click.Path(path_type=Path)


class Commands(click.Group):
    """Turns what a user can mend into one sentence and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            raise click.ClickException(f"{error.filename or 'A file'}: {error.strerror or error}.") from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="gedi-nesy")
def main() -> None:
    """Neural networks that learn symbols without labels, from a ProbLog rule and an energy-based model."""


as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@main.command()
@click.option(
    "--examples", type=click.IntRange(1), help="Number of examples of the rule.  [default: the recipe's, 1000]"
)
@click.option("--method", type=click.Choice(METHODS), default="gedi+nesy", show_default=True, help="What to train.")
@click.option("--recipe", help="A recipe's name, or a .toml file; instead of --method.")
@click.option("--program", help="A ProbLog program: a file, or the name of one that comes with the package.")
@click.option("--query", help="The goal of the program that every example satisfies.")
@click.option("--argument", "arguments", multiple=True, help="A variable of the query that is no image; repeatable.")
@click.option("--data", help="Your own examples: a CSV table with a column for each variable of the query.")
@click.option("--dataset", help="mnist, digits, an .npz file or an image folder.  [default: mnist, else digits]")
@click.option("--data-dir", type=FOLDER, help="Where data sets lie.  [default: $GEDI_NESY_DATA, then the user's cache]")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the examples in the first stage.")
@click.option("--seed", type=click.IntRange(0), help="Of examples, weights and noise.  [default: 0]")
@click.option("--device", help="cpu, cuda, ...  [default: cpu]")
@click.option("--out", type=FOLDER, help="The run folder.  [default: runs/<recipe>-<dataset>-<examples>-seed<seed>]")
@click.option("--resume", type=FOLDER, help="Continue the run in this folder; takes no other setting.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change any setting of the recipe; repeatable."
)
@as_json
@click.pass_context
def train(ctx: click.Context, resume: Path | None, data_dir: Path | None, as_json: bool, **options: Any) -> None:
    """Train a network from a rule, without labels.

    \b
    Example:
      gedi-nesy train --examples 1000
      gedi-nesy train --method paper --examples 10000 --seed 1 --out runs/paper
      gedi-nesy train --resume runs/paper
    """
    console = Console(stderr=as_json)
    with ProgressDisplay(console) as display:
        shared: dict[str, Any] = {"data_dir": data_dir, "notify": display.notice, "progress": display.row}
        try:
            if resume:
                _refuse_other_settings(ctx)
                run = resume_run(resume, **shared)
            else:
                _refuse_pairs(ctx)
                run = _start(options, shared)
        except Interrupted as stopped:
            raise click.ClickException(f"Stopped; continue with: gedi-nesy train --resume {stopped}") from stopped
    if as_json:
        click.echo(json.dumps(run.summary, indent=2))
        return
    console.print(summary_table(run.summary))
    console.print(f"Everything is in {run.folder.path}; open its report.html.", soft_wrap=True, markup=False)


def _refuse_other_settings(ctx: click.Context) -> None:
    """A run is resumed with its own settings; others beside it would be ignored."""
    given = _given(ctx) - {"--resume", "--data-dir", "--json"}
    if given:
        raise click.UsageError(f"--resume continues a run with its own settings; leave out {min(given)}.")


def _refuse_pairs(ctx: click.Context) -> None:
    """Options of which one would silently win over the other."""
    for pair in ({"--recipe", "--method"}, {"--data", "--examples"}, {"--data", "--dataset"}):
        if pair <= _given(ctx):
            raise click.UsageError(f"{' and '.join(sorted(pair))} exclude each other; leave one out.")


def _given(ctx: click.Context) -> set[str]:
    """The options that stand on the command line."""
    from_command_line = click.core.ParameterSource.COMMANDLINE
    return {p.opts[0] for p in ctx.command.params if ctx.get_parameter_source(str(p.name)) is from_command_line}


def _start(options: dict[str, Any], shared: dict[str, Any]) -> Run:
    method, recipe, out, settings = (options.pop(name) for name in ("method", "recipe", "out", "settings"))
    name = recipe or recipe_for(method, options["examples"] or 1000)
    overrides = {key: value for key, value in options.items() if value not in (None, ())}
    if "epochs" in overrides:
        overrides |= {"train.epochs": overrides.pop("epochs"), "train.steps": None}
    overrides |= dict(parse_setting(text) for text in settings)
    return train_run(name, out=out, **shared, **overrides)


@main.command()
@click.argument("run", type=FOLDER)
@click.option("--data-dir", type=FOLDER, help="Where data sets lie.")
@as_json
def evaluate(run: Path, data_dir: Path | None, as_json: bool) -> None:
    """Score a finished run on the test images again.

    \b
    Example:
      gedi-nesy evaluate runs/first
    """
    figures = load_run(run).evaluate(data_dir=data_dir)
    if as_json:
        click.echo(json.dumps(figures, indent=2))
    else:
        Console().print(summary_table(figures))


@main.command()
@click.argument("run", type=FOLDER)
@click.argument("images", type=FOLDER, nargs=-1, required=True)
@click.option("--network", help="Its name in the program, where there are several.")
@as_json
def predict(run: Path, images: tuple[Path, ...], network: str | None, as_json: bool) -> None:
    """Predict the symbol on each image file, with its probability and energy.

    \b
    Example:
      gedi-nesy predict runs/first seven.png
    """
    rows = predict_files(load_run(run), images, network)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = Table("image", "symbol", "probability", "energy", box=None)
    for row in rows:
        table.add_row(row["image"], row["symbol"], f"{row['probability']:.4f}", f"{row['energy']:.2f}")
    Console().print(table)


@main.command()
@click.argument("run", type=FOLDER)
@click.argument("goal")
@click.option("--program", help="Another program to ask: a file, or a name.  [default: the one it was trained on]")
@click.option("--data-dir", type=FOLDER, help="Where data sets lie.")
@as_json
def query(run: Path, goal: str, program: str | None, data_dir: Path | None, as_json: bool) -> None:
    """Ask DeepProbLog's own solver about test images: tensor(test(I)) is the I-th.

    \b
    Example:
      gedi-nesy query runs/first 'addition(tensor(test(0)),tensor(test(1)),S)' --program addition_sum
    """
    answers = load_run(run).query(goal, program, data_dir)
    if as_json:
        click.echo(json.dumps(answers, indent=2))
        return
    for answer, probability in sorted(answers.items(), key=lambda item: -item[1]):
        click.echo(f"{probability:.6f}  {answer}")


@main.command()
@click.argument("run", type=FOLDER)
@click.option("-n", "--number", type=click.IntRange(1), default=100, show_default=True, help="How many samples.")
@click.option("--steps", type=click.IntRange(1), default=1000, show_default=True, help="SGLD steps of each.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--network", help="Its name in the program, where there are several.")
@click.option("--out", type=FOLDER, default=Path("samples.png"), show_default=True, help="The picture to write.")
def sample(run: Path, number: int, steps: int, seed: int, network: str | None, out: Path) -> None:
    """Draw images from the energy model with SGLD, from uniform noise.

    \b
    Example:
      gedi-nesy sample runs/first -n 50 --out samples.png
    """
    draw_samples(load_run(run), out, number, network=network, steps=steps, seed=seed)
    click.echo(out)


@main.command()
@click.argument("program")
@click.option("--query", help="The goal that every example satisfies.  [default: the program's query/1]")
@click.option("--argument", "arguments", multiple=True, help="A variable of the query that is no image; repeatable.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=30.0, show_default=True, help="Budget.")
@as_json
def check(program: str, query: str | None, arguments: tuple[str, ...], seconds: float, as_json: bool) -> None:
    """Check a rule: its syntax, variables, size and solutions, and whether it pins down its symbols.

    \b
    Example:
      gedi-nesy check addition
      gedi-nesy check mine.pl --query 'mine(X,Y,N)' --argument N
    """
    rule = check_rule(program, query, arguments, seconds)
    if as_json:
        click.echo(json.dumps(rule, indent=2))
    else:
        Console().print(rule_table(rule))


@main.command()
@as_json
def recipes(as_json: bool) -> None:
    """List the recipes: the paper's rows and ours.

    \b
    Example:
      gedi-nesy recipes
    """
    about = {name: load_recipe(name).about for name in recipe_names()}
    if as_json:
        click.echo(json.dumps(about, indent=2))
        return
    table = Table("recipe", "what it is", box=None)
    for name, text in about.items():
        table.add_row(name, text)
    Console().print(table)
