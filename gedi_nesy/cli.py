"""The command line: parse, call, print."""

import functools
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from gedi_nesy.compare import Stopped
from gedi_nesy.data import TOYS
from gedi_nesy.data.outliers import load_outliers
from gedi_nesy.device import how_started, is_first_process
from gedi_nesy.errors import UserError
from gedi_nesy.nesy.check import check_rule
from gedi_nesy.nesy.compare import FIGURES, plan_cells
from gedi_nesy.nesy.compare import compare as compare_cells
from gedi_nesy.nesy.files import predict_files
from gedi_nesy.nesy.ood import ood_auroc
from gedi_nesy.nesy.picture import draw_samples
from gedi_nesy.nesy.recipe import METHODS, load_recipe, recipe_for, recipe_names
from gedi_nesy.nesy.run import Run, load_run
from gedi_nesy.nesy.train import resume as resume_run
from gedi_nesy.nesy.train import train as train_run
from gedi_nesy.report.comparison import Comparison, ComparisonDisplay, text_table
from gedi_nesy.report.console import ProgressDisplay, ood_table, rule_table, summary_table
from gedi_nesy.report.evaluation import evaluation_table
from gedi_nesy.report.rewrite import rewrite_report
from gedi_nesy.settings import parse_setting
from gedi_nesy.vision.compare import FIGURES as VISION_FIGURES
from gedi_nesy.vision.compare import compare as compare_vision_cells
from gedi_nesy.vision.compare import plan_cells as plan_vision_cells
from gedi_nesy.vision.evaluate import evaluate as evaluate_vision_run
from gedi_nesy.vision.ood import ood_auroc as vision_ood_auroc
from gedi_nesy.vision.recipe import METHODS as VISION_METHODS
from gedi_nesy.vision.recipe import load_recipe as load_vision_recipe
from gedi_nesy.vision.recipe import recipe_for as vision_recipe_for
from gedi_nesy.vision.recipe import recipe_names as vision_recipe_names
from gedi_nesy.vision.run import Run as VisionRun
from gedi_nesy.vision.run import load_run as load_vision_run
from gedi_nesy.vision.samples import draw_samples as draw_vision_samples
from gedi_nesy.vision.train import resume as resume_vision
from gedi_nesy.vision.train import train_seeds as train_vision_seeds
from gedi_nesy.watch import Interrupted

FOLDER = click.Path(path_type=Path)


class Commas(click.ParamType):
    """Values of one type, separated by commas; one that is given twice counts once."""

    name = "list"

    def __init__(self, item: click.ParamType):
        self.item = item

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """The values, in order."""
        return tuple(dict.fromkeys(self.item.convert(text.strip(), param, ctx) for text in value.split(",")))


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


TRUST = "Let the program load Python code and files outside its folder."
as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def of_finished_run(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the run that its first argument names."""

    @click.argument("run", type=FOLDER)
    @click.option("--trust", is_flag=True, help=TRUST)
    @functools.wraps(command)
    def with_run(run: Path, trust: bool, **options: Any) -> None:
        command(run=load_run(run, trust=trust), **options)

    return with_run


@main.command()
@click.option(
    "--examples", type=click.IntRange(1), help="Number of examples of the rule.  [default: the recipe's, 1000]"
)
@click.option("--method", type=click.Choice(METHODS), default="gedi+nesy", show_default=True, help="What to train.")
@click.option("--recipe", help="A recipe's name, or a .toml file; instead of --method.")
@click.option("--program", help="A ProbLog program: a file, or the name of one that comes with the package.")
@click.option("--query", help="The goal of the program that every example satisfies.")
@click.option("--argument", "arguments", multiple=True, help="A variable of the query that is no image; repeatable.")
@click.option("--trust", is_flag=True, default=None, help=TRUST)
@click.option("--data", help="Your own examples: a CSV table with a column for each variable of the query.")
@click.option(
    "--dataset",
    help="mnist, digits, mnist+operators for the program formula, an .npz file or an image folder.  [default: mnist, "
    "else digits]",
)
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
                run = resume_run(resume, trust=bool(options["trust"]), **shared)
            else:
                _refuse_pairs(ctx)
                run = _start(options, shared)
        except Interrupted as stopped:
            again = f"gedi-nesy train --resume {stopped}" + " --trust" * bool(options["trust"])
            raise click.ClickException(f"Stopped; continue with: {again}") from stopped
    if as_json:
        click.echo(json.dumps(run.summary, indent=2))
        return
    console.print(summary_table(run.summary))
    console.print(f"Everything is in {run.folder.path}; open its report.html.", soft_wrap=True, markup=False)


def _refuse_other_settings(ctx: click.Context) -> None:
    """A run is resumed with its own settings; others beside it would be ignored."""
    given = _given(ctx) - {"--resume", "--trust", "--data-dir", "--json"}
    if given:
        raise click.UsageError(f"--resume continues a run with its own settings; leave out {min(given)}.")


def _refuse_pairs(ctx: click.Context) -> None:
    """Options of which one would silently win over the other."""
    pairs = ({"--recipe", "--method"}, {"--recipe", "--published"}, {"--data", "--examples"}, {"--data", "--dataset"})
    for pair in pairs:
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
@click.option(
    "--methods",
    type=Commas(click.Choice(METHODS)),
    default="gedi+nesy,paper,nesy",
    show_default=True,
    help=f"Of {', '.join(METHODS)}; separated by commas.",
)
@click.option(
    "--examples",
    type=Commas(click.IntRange(1)),
    default="1000",
    show_default=True,
    help="Numbers of examples, separated by commas.",
)
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="How many seeds.")
@click.option("--first-seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--jobs", type=click.IntRange(1), help="Runs at a time, one thread each.  [default: one a core]")
@click.option("--cluster", metavar="ADDRESS", help="A Dask scheduler whose workers train; --out must be seen by all.")
@click.option("--dataset", help="mnist, digits, an .npz file or an image folder.  [default: mnist, else digits]")
@click.option("--data-dir", type=FOLDER, help="Where data sets lie.  [default: $GEDI_NESY_DATA, then the user's cache]")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change any setting of every recipe; repeatable."
)
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
    console = Console(stderr=as_json)
    with ComparisonDisplay(console, FIGURES) as display:
        overrides = dict(parse_setting(text) for text in settings) | ({"dataset": dataset} if dataset else {})
        seed_range = range(first_seed, first_seed + seeds)
        cells = plan_cells(methods, examples, seed_range, overrides, data_dir=data_dir, notify=display.notice)
        command = shlex.join(["gedi-nesy", *sys.argv[1:]])
        try:
            comparison = compare_cells(cells, out, command, data_dir=data_dir, watch=display.show, **workers)
        except Stopped as stopped:
            raise click.ClickException(f"Stopped with {stopped}; go on with the same command.") from stopped
    if as_json:
        click.echo(json.dumps(comparison.to_dict(), indent=2))
    else:
        _print_comparison(console, comparison, out)
    failed = sum(line.failed for line in comparison.lines())
    if failed:
        raise click.ClickException(f"{failed} of {len(cells)} runs failed; the same command tries them again.")


def _print_comparison(console: Console, comparison: Comparison, out: Path) -> None:
    console.print(text_table(comparison), soft_wrap=True, markup=False, highlight=False)
    console.print("Median ± standard deviation over the seeds, test set.", highlight=False)
    console.print(f"Table, plot, CSV and JSON are in {out}/comparison.*", soft_wrap=True, markup=False, highlight=False)


@main.command()
@of_finished_run
@click.option("--data-dir", type=FOLDER, help="Where data sets lie.")
@as_json
def evaluate(run: Run, data_dir: Path | None, as_json: bool) -> None:
    """Score a finished run on the test images again.

    \b
    Example:
      gedi-nesy evaluate runs/first
    """
    figures = run.evaluate(data_dir=data_dir)
    if as_json:
        click.echo(json.dumps(figures, indent=2))
    else:
        Console().print(summary_table(figures))


@main.command()
@of_finished_run
@click.argument("images", type=FOLDER, nargs=-1, required=True)
@click.option("--network", help="Its name in the program, where there are several.")
@as_json
def predict(run: Run, images: tuple[Path, ...], network: str | None, as_json: bool) -> None:
    """Predict the symbol on each image file, with its probability and energy.

    \b
    Example:
      gedi-nesy predict runs/first seven.png
    """
    rows = predict_files(run, images, network)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = Table("image", "symbol", "probability", "energy", box=None)
    for row in rows:
        table.add_row(row["image"], row["symbol"], f"{row['probability']:.4f}", f"{row['energy']:.2f}")
    Console().print(table)


@main.command()
@of_finished_run
@click.argument("goal")
@click.option("--program", help="Another program to ask: a file, or a name.  [default: the one it was trained on]")
@click.option("--data-dir", type=FOLDER, help="Where data sets lie.")
@as_json
def query(run: Run, goal: str, program: str | None, data_dir: Path | None, as_json: bool) -> None:
    """Ask DeepProbLog's own solver about test images: tensor(test(I)) is the I-th.

    \b
    Example:
      gedi-nesy query runs/first 'addition(tensor(test(0)),tensor(test(1)),S)' --program addition_sum
    """
    answers = run.query(goal, program, data_dir)
    if as_json:
        click.echo(json.dumps(answers, indent=2))
        return
    for answer, probability in sorted(answers.items(), key=lambda item: -item[1]):
        click.echo(f"{probability:.6f}  {answer}")


@main.command()
@of_finished_run
@click.option("-n", "--number", type=click.IntRange(1), default=100, show_default=True, help="How many samples.")
@click.option("--steps", type=click.IntRange(1), default=1000, show_default=True, help="SGLD steps of each.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--network", help="Its name in the program, where there are several.")
@click.option("--out", type=FOLDER, default=Path("samples.png"), show_default=True, help="The picture to write.")
def sample(run: Run, number: int, steps: int, seed: int, network: str | None, out: Path) -> None:
    """Draw images from the energy model with SGLD, from uniform noise.

    \b
    Example:
      gedi-nesy sample runs/first -n 50 --out samples.png
    """
    draw_samples(run, out, number, network=network, steps=steps, seed=seed)
    click.echo(out)


@main.command()
@of_finished_run
@click.option(
    "--against",
    default="rotated,inverted,noise",
    show_default=True,
    metavar="D[,D...]",
    help="notmnist, omniglot, cifar10, ..., an .npz file, an image folder, or one of the default's.",
)
@click.option("--network", help="Its name in the program, where there are several.")
@click.option("--data-dir", type=FOLDER, help="Where data sets lie.")
@as_json
def ood(run: Run, against: str, network: str | None, data_dir: Path | None, as_json: bool) -> None:
    """Measure how well scores tell the run's test images from foreign ones: AUROC, .5 is chance.

    \b
    Example:
      gedi-nesy ood runs/first --against notmnist,omniglot,noise
    """
    digits = run.images(data_dir).x_test
    outliers = {name: load_outliers(name, digits, data_dir) for name in against.split(",")}
    rows = ood_auroc(run, digits, outliers, network)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        Console().print(ood_table(rows))


@main.command()
@click.argument("program")
@click.option("--query", help="The goal that every example satisfies.  [default: the program's query/1]")
@click.option("--argument", "arguments", multiple=True, help="A variable of the query that is no image; repeatable.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=30.0, show_default=True, help="Budget.")
@click.option("--trust", is_flag=True, help=TRUST)
@as_json
def check(
    program: str, query: str | None, arguments: tuple[str, ...], seconds: float, trust: bool, as_json: bool
) -> None:
    """Check a rule: its syntax, variables, size and solutions, and whether it pins down its symbols.

    \b
    Example:
      gedi-nesy check addition
      gedi-nesy check mine.pl --query 'mine(X,Y,N)' --argument N
    """
    rule = check_rule(program, query, arguments, seconds, trust)
    if as_json:
        click.echo(json.dumps(rule, indent=2))
    else:
        Console().print(rule_table(rule))


@main.command()
@click.argument("run", type=FOLDER)
def report(run: Path) -> None:
    """Write a finished run's report.html again, with all pictures in its folder, and print its path.

    \b
    Example:
      gedi-nesy report runs/first
    """
    click.echo(rewrite_report(run))


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


@main.group()
def vision() -> None:
    """The vision track: clusters and density of points and images, without labels and without a rule.

    \b
    Example:
      gedi-nesy vision train --dataset moons
    """


@vision.command("train")
@click.option(
    "--dataset",
    help="moons, circles, spirals, rings, blobs, cifar10, cifar100, svhn, an .npz or an image folder.  "
    "[default: the recipe's, moons]",
)
@click.option("--data-dir", type=FOLDER, help="Where images lie.  [default: $GEDI_NESY_DATA, then the user's cache]")
@click.option("--method", type=click.Choice(VISION_METHODS), default="gedi", show_default=True, help="What to train.")
@click.option("--published", is_flag=True, help="The method's recipe exactly as the paper has it, instead of ours.")
@click.option("--recipe", help="A recipe's name, or a .toml file; instead of --method.")
@click.option("--examples", type=click.IntRange(2), help="Training points.  [default: 1000 of a toy, else all]")
@click.option("--noise", "data_noise", type=click.FloatRange(0), help="Of a toy.  [default: the recipe's, .05]")
@click.option("--scale", "data_scale", type=click.FloatRange(0, min_open=True), help="Of a toy's points.  [default: 1]")
@click.option("--clusters", type=click.IntRange(1), help="How many to find.  [default: as many as there are labels]")
@click.option("--restarts", type=click.IntRange(1), help="Networks of which the certificate chooses one.")
@click.option("--seed", type=click.IntRange(0), help="Of points, weights and noise.  [default: 0]")
@click.option("--seeds", type=click.IntRange(1), help="So many seeds side by side, from --seed on.  [default: 1]")
@click.option("--device", help="cpu, cuda, ...  [default: cpu]")
@click.option("--out", type=FOLDER, help="The run folder.  [default: runs/vision-<recipe>-<dataset>-seed<seed>]")
@click.option("--resume", type=FOLDER, help="Continue the run in this folder; takes no other setting.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change any setting of the recipe; repeatable."
)
@as_json
@click.pass_context
def train_vision(ctx: click.Context, resume: Path | None, data_dir: Path | None, as_json: bool, **options: Any) -> None:
    """Cluster points or images and learn their density, without labels.

    \b
    Example:
      gedi-nesy vision train --dataset moons --method gedi
      gedi-nesy vision train --dataset circles --method swav --published --seeds 5 --out runs/swav
      gedi-nesy vision train --resume runs/swav
      gedi-nesy vision train --dataset cifar10 --device cuda --set speed.bf16=true --set speed.channels_last=true
      torchrun --nproc-per-node 4 -m gedi_nesy vision train --dataset cifar10 --device cuda
    """
    console = Console(stderr=as_json)
    with ProgressDisplay(console) as display:
        shared: dict[str, Any] = {"data_dir": data_dir, "progress": display.row}
        try:
            if resume:
                _refuse_other_settings(ctx)
                runs = resume_vision(resume, **shared)
            else:
                _refuse_pairs(ctx)
                runs = _start_vision(options, shared)
        except Interrupted as stopped:
            if not is_first_process():
                sys.exit(1)
            command = f"{how_started()} vision train --resume {stopped}"
            raise click.ClickException(f"Stopped; continue with: {command}") from stopped
    if not is_first_process():
        return
    if as_json:
        click.echo(json.dumps(runs[0].summary if len(runs) == 1 else [run.summary for run in runs], indent=2))
        return
    for run in runs:
        console.print(summary_table(run.summary))
        console.print(f"Everything is in {run.folder.path}; open its report.html.", soft_wrap=True, markup=False)


def _start_vision(options: dict[str, Any], shared: dict[str, Any]) -> list[VisionRun]:
    names = ("method", "published", "recipe", "out", "settings")
    method, published, recipe, out, settings = (options.pop(name) for name in names)
    overrides = {key: value for key, value in options.items() if value is not None}
    dataset = overrides.get("dataset")
    for option, key in {"--noise": "data_noise", "--scale": "data_scale"}.items():
        if dataset and dataset not in TOYS and key in overrides:
            raise UserError(f"{option} is that of a toy, and {dataset} is none; leave it out.")
    overrides |= dict(parse_setting(text) for text in settings)
    name = recipe or vision_recipe_for(method, published, dataset)
    return train_vision_seeds(name, out=out, **shared, **overrides)


@vision.command("compare")
@click.option(
    "--methods",
    type=Commas(click.Choice(VISION_METHODS)),
    default="gedi,swav,barlow",
    show_default=True,
    help=f"Of {', '.join(VISION_METHODS)}; separated by commas.",
)
@click.option("--datasets", type=Commas(click.STRING), default="moons,circles", show_default=True)
@click.option("--published", is_flag=True, help="The methods' recipes exactly as the paper has them, instead of ours.")
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="How many seeds.")
@click.option("--first-seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--jobs", type=click.IntRange(1), help="Runs at a time, one thread each.  [default: one a core]")
@click.option("--cluster", metavar="ADDRESS", help="A Dask scheduler whose workers train; --out must be seen by all.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change any setting of every recipe; repeatable."
)
@click.option("--out", type=FOLDER, default=Path("runs/vision"), show_default=True, help="The folder of all the runs.")
@click.option("--data-dir", type=FOLDER, help="Where images lie.  [default: $GEDI_NESY_DATA, then the user's cache]")
@as_json
def compare_vision(
    methods: tuple[str, ...],
    datasets: tuple[str, ...],
    published: bool,
    seeds: int,
    first_seed: int,
    settings: tuple[str, ...],
    out: Path,
    data_dir: Path | None,
    as_json: bool,
    **workers: Any,
) -> None:
    """Train several methods of the vision track on several data sets and seeds, and put their figures side by side.

    Every run has a folder of its own. The same command again keeps what is finished and goes on with the rest. What
    features and samples of images are worth, `gedi-nesy vision evaluate` measures for each run.

    \b
    Example:
      gedi-nesy vision compare --methods gedi,gedi-no-gen,swav --datasets moons,circles --seeds 5 --out runs/toys
    """
    console = Console(stderr=as_json)
    with ComparisonDisplay(console, VISION_FIGURES) as display:
        overrides = dict(parse_setting(text) for text in settings)
        seed_range = range(first_seed, first_seed + seeds)
        cells = plan_vision_cells(methods, datasets, seed_range, overrides, published=published, data_dir=data_dir)
        command = shlex.join(["gedi-nesy", *sys.argv[1:]])
        try:
            comparison = compare_vision_cells(cells, out, command, data_dir=data_dir, watch=display.show, **workers)
        except Stopped as stopped:
            raise click.ClickException(f"Stopped with {stopped}; go on with the same command.") from stopped
    if as_json:
        click.echo(json.dumps(comparison.to_dict(), indent=2))
    else:
        _print_comparison(console, comparison, out)
    failed = sum(line.failed for line in comparison.lines())
    if failed:
        raise click.ClickException(f"{failed} of {len(cells)} runs failed; the same command tries them again.")


@vision.command("evaluate")
@click.argument("run", type=FOLDER)
@click.option(
    "--samples", type=click.IntRange(0), help="To draw, of images; 0: none.  [default: 1000; with --inception 10000]"
)
@click.option("--steps", type=click.IntRange(1), default=500, show_default=True, help="SGLD steps of each.")
@click.option(
    "--inception",
    type=FOLDER,
    help="torch-fidelity's file of Inception's weights, for FID and KID.  [default: FD and KD of a small classifier]",
)
@click.option("--data-dir", type=FOLDER, help="Where data sets lie.  [default: $GEDI_NESY_DATA, then the user's cache]")
@click.option("--device", default="cpu", show_default=True)
@as_json
def evaluate_vision(run: Path, device: str, as_json: bool, **options: Any) -> None:
    """Score a finished run on the whole test set.

    On images: clusters, a linear probe and nearest neighbours on its features, and, where L_GEN was on, how close
    samples are to real images. Without --inception their features are those of a small classifier, which is trained at
    the first call (minutes on a CPU) and kept; the figures are then named FD(classifier) and KD(classifier), no FID.

    \b
    Example:
      gedi-nesy vision evaluate runs/vision-gedi-moons-seed0
      gedi-nesy vision evaluate runs/cifar10 --samples 10000 --device cuda --json
      gedi-nesy vision evaluate runs/cifar10 --inception weights-inception-2015-12-05-6726825d.pth
    """
    loaded = load_vision_run(run, device)
    console = Console(stderr=as_json)
    with console.status("") as status:
        figures = evaluate_vision_run(loaded, progress=status.update, **options)
    if as_json:
        click.echo(json.dumps(figures, indent=2))
    else:
        console.print(evaluation_table(figures) if loaded.reads_images else summary_table(figures))


@vision.command("sample")
@click.argument("run", type=FOLDER)
@click.option("-n", "--number", type=click.IntRange(1), default=100, show_default=True, help="How many samples.")
@click.option("--steps", type=click.IntRange(1), default=500, show_default=True, help="SGLD steps of each.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--out", type=FOLDER, default=Path("samples.png"), show_default=True, help="The picture to write.")
def sample_vision(run: Path, number: int, steps: int, seed: int, device: str, out: Path) -> None:
    """Draw images, or points in the plane, from the energy model with SGLD, from uniform noise.

    \b
    Example:
      gedi-nesy vision sample runs/vision-gedi-moons-seed0 -n 300 --out samples.png
    """
    draw_vision_samples(load_vision_run(run, device), out, number, steps=steps, seed=seed)
    click.echo(out)


@vision.command("ood")
@click.argument("run", type=FOLDER)
@click.option(
    "--against",
    type=Commas(click.STRING),
    default="noise",
    show_default=True,
    metavar="D[,D...]",
    help="For images svhn, cifar100, ..., rotated, inverted, noise, .npz, a folder; for points toys, noise, .npz.",
)
@click.option("--data-dir", type=FOLDER, help="Where data sets lie.  [default: $GEDI_NESY_DATA, then the user's cache]")
@click.option("--device", default="cpu", show_default=True)
@as_json
def ood_vision(run: Path, against: tuple[str, ...], data_dir: Path | None, device: str, as_json: bool) -> None:
    """Measure how well scores tell the run's test set from foreign points or images: AUROC, .5 is chance.

    \b
    Example:
      gedi-nesy vision ood runs/vision-gedi-moons-seed0 --against noise,circles
      gedi-nesy vision ood runs/cifar10 --against svhn,cifar100,noise --device cuda
    """
    rows = vision_ood_auroc(load_vision_run(run, device), against, data_dir)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        Console().print(ood_table(rows))


@vision.command("recipes")
@as_json
def vision_recipes(as_json: bool) -> None:
    """List the recipes of the vision track: the paper's and ours.

    \b
    Example:
      gedi-nesy vision recipes
    """
    about = {name: load_vision_recipe(name).about for name in vision_recipe_names()}
    if as_json:
        click.echo(json.dumps(about, indent=2))
        return
    table = Table("recipe", "what it is", box=None)
    for name, text in about.items():
        table.add_row(name, text)
    Console().print(table)
