"""Commands of the neuro-symbolic track."""

from __future__ import annotations

import functools
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from gedi_nesy.cli.group import Command
from gedi_nesy.cli.shared import (
    COUNT,
    FOLDER,
    SECONDS,
    SEED,
    Commas,
    CountOrAll,
    Method,
    Picture,
    Size,
    as_json,
    comparison_options,
    log,
    read_settings,
    refuse_other_settings,
    refuse_pairs,
    show,
    show_comparison,
    show_recipes,
    working,
)
from gedi_nesy.errors import UserError
from gedi_nesy.methods import WITH_RULE

if TYPE_CHECKING:
    from gedi_nesy.nesy.run import Run


QUICK = "gedi-nesy-quick"
TRUST = "Let the program load Python code and files outside its folder, and execute a network's file."


def of_finished_run(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the run that its first argument names."""

    @click.argument("run", type=FOLDER)
    @click.option("--trust", is_flag=True, help=TRUST)
    @functools.wraps(command)
    def with_run(run: Path, trust: bool, **options: Any) -> None:
        with working("loading the run"):
            from gedi_nesy.nesy.run import load_run

            loaded = load_run(run, trust=trust)
        command(run=loaded, **options)

    return with_run


@click.command(cls=Command)
@click.option(
    "--examples",
    type=CountOrAll(),
    metavar="N|all",
    help="Number of examples of the rule; all: as many as use each image of the dataset once.  [default: the recipe's, "
    "1000]",
)
@click.option(
    "--method", type=Method(WITH_RULE), default="gedi+nesy", show_default=True, help=f"Of {', '.join(WITH_RULE)}."
)
@click.option("--recipe", help="A recipe's name, or a .toml file; instead of --method.")
@click.option("--quick", is_flag=True, help="A trial of a minute, on 100 examples: --recipe gedi-nesy-quick.")
@click.option("--program", help="A ProbLog program: a file, or the name of one that comes with the package.")
@click.option(
    "--query",
    multiple=True,
    help="The goal of the program that every example satisfies; repeatable, where each satisfies one of several.",
)
@click.option("--argument", "arguments", multiple=True, help="A variable of the query that is no image; repeatable.")
@click.option("--trust", is_flag=True, default=None, help=TRUST)
@click.option(
    "--data",
    help="Your own examples: a CSV table with a column for each variable of the query, or an .npz file. Of several "
    "queries a line belongs to the one whose columns it fills.",
)
@click.option("--features", help="An .npz file of vectors that say which images are alike, or that are the inputs.")
@click.option("--features-from", type=FOLDER, help="A vision run on images, whose encoder makes these features.")
@click.option("--labels", help="A CSV table with columns image and symbol: a few labels that settle what is meant.")
@click.option("--size", type=Size(), help="Side, or HEIGHTxWIDTH, to which images are resized.")
@click.option("--channels", type=click.Choice(["1", "3"]), help="Images become grey, 1, or colour, 3.")
@click.option(
    "--network",
    "networks",
    multiple=True,
    metavar="E",
    help="mnist_net, resnet8-32, resnet18, mlp-256, ..., or your own as file.py:factory, with --trust; NAME=E, "
    "repeatable, where the rule has several networks.  [default: by what the inputs are]",
)
@click.option(
    "--dataset",
    help="mnist, digits, mnist+operators for the program formula, an .npz file or an image folder.  [default: mnist, "
    "else digits]",
)
@click.option("--data-dir", type=FOLDER, help="Where data sets lie.  [default: $GEDI_NESY_DATA, then the user's cache]")
@click.option("--epochs", type=COUNT, help="Passes over the examples in the first stage.")
@click.option("--seconds", type=SECONDS, help="Budget of training time; what is trained by then is the result.")
@click.option("--seed", type=SEED, help="Seed of examples, weights and noise.  [default: 0]")
@click.option("--device", help="cpu, cuda, ...  [default: cpu]")
@click.option("--out", type=FOLDER, help="The run folder.  [default: runs/<recipe>-<dataset>-<examples>-seed<seed>]")
@click.option("--resume", type=FOLDER, help="Continue the run in this folder; takes no other setting.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change any setting of the recipe; repeatable."
)
@log
@as_json
@click.pass_context
def train(ctx: click.Context, resume: Path | None, data_dir: Path | None, as_json: bool, **options: Any) -> None:
    """Train a network from a rule, without labels.

    \b
    Example:
      gedi-nesy train --quick
      gedi-nesy train --examples 1000
      gedi-nesy train --program addition_sum --argument S --examples all --seconds 600
      gedi-nesy train --method paper --examples 10000 --seed 1 --out runs/paper
      gedi-nesy train --resume runs/paper
      torchrun --nproc-per-node 2 -m gedi_nesy train --examples 10000
    """
    from gedi_nesy.nesy.train import resume as resume_run
    from gedi_nesy.report.console import ProgressDisplay, summary_table
    from gedi_nesy.runs.callbacks import Interrupted
    from gedi_nesy.runs.device import how_started, is_first_process

    console = Console(stderr=as_json, quiet=not is_first_process())
    with ProgressDisplay(console) as display:
        shared: dict[str, Any] = {"data_dir": data_dir, "notify": display.notice, "progress": display.row}
        try:
            if resume:
                refuse_other_settings(ctx)
                run = resume_run(resume, trust=bool(options["trust"]), **shared)
            else:
                refuse_pairs(ctx)
                run = _start(options, shared)
        except Interrupted as stopped:
            if not is_first_process():
                sys.exit(1)
            again = f"{how_started()} train --resume {stopped}" + " --trust" * bool(options["trust"])
            raise click.ClickException(f"Stopped; continue with: {again}") from stopped
    if not is_first_process():
        return
    if as_json:
        click.echo(json.dumps(run.summary, indent=2))
        return
    console.print(summary_table(run.summary))
    console.print(f"Everything is in {run.folder.path}; open its report.html.", soft_wrap=True, markup=False)


def _read_networks(texts: Sequence[str]) -> str | dict[str, str]:
    """What --network says: one for all, or one for each that is named."""
    named = {name: network for name, equals, network in (text.partition("=") for text in texts) if equals}
    if named and len(named) == len(texts):
        return named
    if len(texts) > 1:
        raise UserError("Give --network once for all, or as NAME=E for each of the rule's networks.")
    return texts[0]


def _make_features(run: Path, overrides: dict[str, Any], shared: dict[str, Any]) -> str:
    from gedi_nesy.cli.features_from import write_features

    shared["notify"](f"The images are matched by the features of {run}.")
    return str(write_features(run, overrides.get("data"), overrides.get("dataset"), shared["data_dir"]))


def _start(options: dict[str, Any], shared: dict[str, Any]) -> Run:
    from gedi_nesy.nesy.train import train as train_run

    names = ("method", "recipe", "quick", "out", "settings", "networks", "features_from")
    method, recipe, quick, out, settings, networks, features_from = (options.pop(name) for name in names)
    recipe = QUICK if quick else recipe
    overrides = {key: value for key, value in options.items() if value not in (None, ())}
    if "channels" in overrides:
        overrides["channels"] = int(overrides["channels"])
    if features_from:
        overrides["features"] = _make_features(features_from, overrides, shared)
    if networks:
        overrides["network"] = _read_networks(networks)
    if "epochs" in overrides:
        overrides |= {"train.epochs": overrides.pop("epochs"), "train.steps": None}
    overrides |= read_settings(settings)
    return train_run(recipe, method=None if recipe else method, out=out, **shared, **overrides)


@click.command(cls=Command)
@click.option(
    "--methods",
    type=Commas(Method(WITH_RULE)),
    default="gedi+nesy,paper,nesy",
    show_default=True,
    help=f"Of {', '.join(WITH_RULE)}; separated by commas.",
)
@click.option(
    "--examples",
    type=Commas(COUNT),
    default="1000",
    show_default=True,
    help="Numbers of examples, separated by commas.",
)
@comparison_options
@click.option("--dataset", help="mnist, digits, an .npz file or an image folder.  [default: mnist, else digits]")
@click.option("--data-dir", type=FOLDER, help="Where data sets lie.  [default: $GEDI_NESY_DATA, then the user's cache]")
@click.option("--out", type=FOLDER, default=Path("runs/compare"), show_default=True, help="The folder of all the runs.")
@as_json
def compare(
    methods: tuple[str, ...],
    examples: tuple[int, ...],
    seeds: int,
    first_seed: int,
    settings: tuple[str, ...],
    out: Path,
    as_json: bool,
    dataset: str | None,
    data_dir: Path | None,
    **workers: Any,
) -> None:
    """Train several methods on several numbers of examples and seeds, and put their figures side by side.

    Every run has a folder of its own. The same command again keeps what is finished and goes on with the rest.

    \b
    Example:
      gedi-nesy compare --methods gedi+nesy,paper,nesy --examples 100,1000 --seeds 5 --out runs/methods
    """
    from gedi_nesy.nesy.compare import compare as compare_cells
    from gedi_nesy.nesy.compare import plan_cells
    from gedi_nesy.report.comparison import ComparisonDisplay
    from gedi_nesy.report.words import compared
    from gedi_nesy.runs.compare.scheduler import Stopped
    from gedi_nesy.runs.settings import parse_setting

    console = Console(stderr=as_json)
    with ComparisonDisplay(console, compared("rule")) as display:
        overrides = dict(parse_setting(text) for text in settings) | ({"dataset": dataset} if dataset else {})
        seed_range = range(first_seed, first_seed + seeds)
        cells = plan_cells(methods, examples, seed_range, overrides, data_dir=data_dir, notify=display.notice)
        command = shlex.join(["gedi-nesy", *sys.argv[1:]])
        try:
            comparison = compare_cells(cells, out, command, data_dir=data_dir, watch=display.show, **workers)
        except Stopped as stopped:
            raise click.ClickException(f"Stopped with {stopped}; go on with the same command.") from stopped
    show_comparison(comparison, out, console, as_json)


@click.command(cls=Command)
@of_finished_run
@click.option(
    "--test",
    type=FOLDER,
    metavar="TABLE|all",
    help="A CSV table of examples that were not trained on; all: the test images shuffled once, each used once.",
)
@click.option("--features", type=FOLDER, help="The .npz file with the vectors that TABLE names; by default the run's.")
@click.option("--data-dir", type=FOLDER, help="Where data sets lie.")
@as_json
def evaluate(run: Run, test: Path | None, features: Path | None, data_dir: Path | None, as_json: bool) -> None:
    """Score a finished run on the test images again; a run on a table on its own examples, or on another table's.

    \b
    Example:
      gedi-nesy evaluate runs/first
      gedi-nesy evaluate runs/first --test all
      gedi-nesy evaluate runs/sums --test more-sums.csv
    """
    from gedi_nesy.report.console import summary_table

    with working("evaluating"):
        figures = run.evaluate(data_dir=data_dir, test=test, features=features)
    show(figures, summary_table, as_json)


@click.command(cls=Command)
@of_finished_run
@click.argument("images", type=FOLDER, nargs=-1, required=True)
@click.option("--network", help="Its name in the program, where there are several.")
@as_json
def predict(run: Run, images: tuple[Path, ...], network: str | None, as_json: bool) -> None:
    """Predict the symbol on each image file, and say whether it is like the training images.

    Beside the symbol stand the second-best one, the energy (high: unlike the training images) and the percentile: how
    many of the training images are less familiar, by energy and certainty together, on slightly changed copies. The
    verdict goes by this percentile alone: an image with fewer than 1% below it is called foreign, or inverted where it
    would not be with light and dark swapped; one with fewer than 5% unusual. One without any contrast is called blank.

    An image is scaled as a whole, its margins too, to the size of the training images; crop it where the symbol fills
    less than half of it. An image of other proportions keeps its ratio of width to height, and is centred on the median
    of the pixels at its edge. A run on vectors takes .npz files with one array each, and answers for every row.

    \b
    Example:
      gedi-nesy predict runs/first seven.png
    """
    from gedi_nesy.nesy.files import predict_files
    from gedi_nesy.report.console import prediction_table

    with working("looking at the images"):
        rows = predict_files(run, images, network)
    show(rows, prediction_table, as_json)
    errors = [row["error"] for row in rows if "error" in row]
    for error in errors:
        click.echo(f"Error: {error}", err=True)
    if errors:
        raise click.exceptions.Exit(1)


@click.command(cls=Command)
@of_finished_run
@click.argument("goal")
@click.option("--program", help="Another program to ask: a file, or a name.  [default: the one it was trained on]")
@click.option("--data-dir", type=FOLDER, help="Where data sets lie.")
@as_json
def query(run: Run, goal: str, program: str | None, data_dir: Path | None, as_json: bool) -> None:
    """Ask DeepProbLog's own solver about test images: tensor(test(I)) is the I-th.

    Of a run on a table, tensor(x(2)) is the image in column X and line 2, the line after the heading.

    \b
    Example:
      gedi-nesy query runs/first 'addition(tensor(test(0)),tensor(test(1)),S)' --program addition_sum
    """
    with working("asking DeepProbLog"):
        answers = run.query(goal, program, data_dir)
    if as_json:
        click.echo(json.dumps(answers, indent=2))
        return
    for answer, probability in sorted(answers.items(), key=lambda item: -item[1]):
        click.echo(f"{probability:.6f}  {answer}")


@click.command(cls=Command)
@of_finished_run
@click.option("-n", "--number", type=COUNT, default=100, show_default=True, help="How many samples.")
@click.option("--steps", type=COUNT, help="SGLD steps of each.  [default: a chain's mean life in training]")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--network", help="Its name in the program, where there are several.")
@click.option("--out", type=Picture(), default="samples.png", show_default=True, help="The picture to write.")
def sample(run: Run, number: int, steps: int | None, seed: int, network: str | None, out: Path) -> None:
    """Draw images from the energy model with SGLD, from uniform noise.

    \b
    Example:
      gedi-nesy sample runs/first -n 50 --out samples.png
    """
    from gedi_nesy.nesy.picture import draw_samples

    with working("drawing samples"):
        draw_samples(run, out, number, network=network, steps=steps, seed=seed)
    click.echo(out)


@click.command(cls=Command)
@of_finished_run
@click.option(
    "--against",
    type=Commas(click.STRING),
    metavar="D[,D...]",
    help="notmnist, omniglot, cifar10, ..., an .npz file, an image folder, or one of the default's.  [default: of "
    "images rotated, inverted, noise; of vectors exchanged, noise]",
)
@click.option("--network", help="Its name in the program, where there are several.")
@click.option("--data-dir", type=FOLDER, help="Where data sets lie.")
@as_json
def ood(run: Run, against: tuple[str, ...] | None, network: str | None, data_dir: Path | None, as_json: bool) -> None:
    """Measure how well scores tell the run's own images from foreign ones: AUROC, 0.5 is chance.

    Its own images, or vectors, are those for tests, or those of its training table.

    \b
    Example:
      gedi-nesy ood runs/first --against notmnist,omniglot,noise
    """
    from gedi_nesy.data.outliers import load_outliers, made_outliers
    from gedi_nesy.nesy.ood import ood_auroc
    from gedi_nesy.report.console import ood_table

    with working("scoring familiar and foreign images"):
        own = run.own_images(data_dir, network)
        outliers = {name: load_outliers(name, own, data_dir) for name in against or made_outliers(own)}
        rows = ood_auroc(run, own, outliers, network)
    show(rows, ood_table, as_json)


@click.command(cls=Command)
@of_finished_run
@click.option("--network", help="Its name in the program, where there are several.")
@click.option("--out", type=FOLDER, default=Path("network.pt"), show_default=True, help="The file to write.")
def export(run: Run, network: str | None, out: Path) -> None:
    """Write a trained network as TorchScript, which PyTorch loads in Python and C++ without this package.

    It takes images as floats in [0, 1], [n, channels, height, width], and gives the log-probability of each symbol.

    \b
    Example:
      gedi-nesy export runs/first --out digits.pt
    """
    with working("exporting"):
        run.export(out, network)
    click.echo(out)


@click.command(cls=Command)
@of_finished_run
@click.option("--port", type=click.IntRange(1, 65535), help="[default: the first free one from 7860 on]")
def demo(run: Run, port: int | None) -> None:
    """Draw or drop an image for each variable of the rule in a browser, and see what the run reads.

    The page is for this machine alone, on 127.0.0.1; Ctrl-C ends it. It needs the extra [demo].

    \b
    Example:
      gedi-nesy demo runs/first
    """
    from gedi_nesy.nesy.demo import show_page

    show_page(run, port, click.echo)


@click.command(cls=Command)
@click.argument("program")
@click.option("--query", help="The goal that every example satisfies.  [default: the program's query/1]")
@click.option("--argument", "arguments", multiple=True, help="A variable of the query that is no image; repeatable.")
@click.option(
    "--seconds",
    type=SECONDS,
    default=30.0,
    show_default=True,
    help="Budget of CPU time; bounds for a refused rule take it again.",
)
@click.option("--trust", is_flag=True, help=TRUST)
@click.option("--data", type=FOLDER, help="A table of examples: look only at solutions that have one of its answers.")
@click.option("--support", type=FOLDER, help="A CSV table of symbols, a column for each variable: look only at these.")
@click.option("--nodes", type=click.IntRange(1), help="For a rule too large to compile: bounds, by so many nodes.")
@click.option("--draws", type=click.IntRange(1), help="The same, and an estimate from so many draws of symbols.")
@as_json
@click.pass_context
def check(
    ctx: click.Context,
    program: str,
    query: str | None,
    arguments: tuple[str, ...],
    seconds: float,
    trust: bool,
    data: Path | None,
    support: Path | None,
    nodes: int | None,
    draws: int | None,
    as_json: bool,
) -> None:
    """Check a rule: its syntax, variables, size and solutions, and whether it pins down its symbols.

    \b
    Example:
      gedi-nesy check addition
      gedi-nesy check mine.pl --query 'mine(X,Y,N)' --argument N
      gedi-nesy check addition_sum --argument S --data sums.csv
      gedi-nesy check sudoku --nodes 1000 --draws 1000
    """
    from gedi_nesy.logic.compile import NoDiagram
    from gedi_nesy.nesy.check import check_rule
    from gedi_nesy.report.console import rule_table

    refuse_pairs(ctx)
    if nodes or draws:
        from gedi_nesy.nesy.inexact import bound_rule
        from gedi_nesy.report.console import bounds_table

        with working("bounding the rule"):
            found = bound_rule(program, query, arguments, seconds, trust, nodes=nodes, draws=draws, data=data)
        show(found, bounds_table, as_json)
        return
    try:
        with working("compiling the rule and looking for other readings of it"):
            rule = check_rule(program, query, arguments, seconds, trust, data=data, support=support)
    except NoDiagram as refusal:
        from gedi_nesy.nesy.inexact import bounds_instead

        with working("bounding the rule"):
            instead = bounds_instead(program, query, arguments, seconds, trust, data)
        raise UserError(f"{refusal}. {instead}") from None
    show(rule, rule_table, as_json)


@click.command(cls=Command)
@as_json
def recipes(as_json: bool) -> None:
    """List the recipes: the paper's rows and ours.

    \b
    Example:
      gedi-nesy recipes
    """
    from gedi_nesy.nesy.recipe import load_recipe, recipe_names

    show_recipes({name: load_recipe(name).about for name in recipe_names()}, as_json)
