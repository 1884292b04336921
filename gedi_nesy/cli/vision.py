"""Commands of the vision track."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from gedi_nesy.cli.shared import (
    COUNT,
    FOLDER,
    NUMBER,
    SEED,
    SEEDS,
    SEVERAL,
    Commas,
    Method,
    Picture,
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
from gedi_nesy.methods import WITHOUT_RULE

if TYPE_CHECKING:
    from gedi_nesy.vision.run import Run


SAMPLES = "To draw, of images; 0: none.  [default: 1000; with --inception 10000]"
INCEPTION = "torch-fidelity's file of Inception's weights, for FID and KID.  [default: FD and KD of a small classifier]"
AGAINST = "For images svhn, cifar100, ..., rotated, inverted, noise, .npz, a folder; for points toys, noise, .npz."


@click.group()
def vision() -> None:
    """The vision track: clusters and density of points and images, without labels and without a rule.

    \b
    Example:
      gedi-nesy vision train --dataset moons
    """


@vision.command()
@click.option(
    "--dataset",
    help="moons, circles, spirals, rings, blobs, cifar10, cifar100, svhn, an .npz or an image folder.  "
    "[default: the recipe's, moons]",
)
@click.option("--data-dir", type=FOLDER, help="Where images lie.  [default: $GEDI_NESY_DATA, then the user's cache]")
@click.option(
    "--method", type=Method(WITHOUT_RULE), default="gedi", show_default=True, help=f"Of {', '.join(WITHOUT_RULE)}."
)
@click.option("--published", is_flag=True, help="The method's recipe exactly as the paper has it, instead of ours.")
@click.option("--recipe", help="A recipe's name, or a .toml file; instead of --method.")
@click.option("--examples", type=SEVERAL, help="Training points.  [default: 1000 of a toy, else all]")
@click.option("--noise", "data_noise", type=click.FloatRange(0), help="Noise of a toy.  [default: the recipe's, 0.05]")
@click.option("--clusters", type=SEVERAL, help="How many clusters to find.  [default: as many as there are labels]")
@click.option("--restarts", type=COUNT, help="Networks of which the certificate chooses one.")
@click.option("--seed", type=SEED, help="Seed of points, weights and noise.  [default: 0]")
@click.option("--seeds", type=SEEDS, help="So many seeds side by side, from --seed on.  [default: 1]")
@click.option("--device", help="cpu, cuda, ...  [default: cpu]")
@click.option("--out", type=FOLDER, help="The run folder.  [default: runs/vision-<recipe>-<dataset>-seed<seed>]")
@click.option("--resume", type=FOLDER, help="Continue the run in this folder; takes no other setting.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change any setting of the recipe; repeatable."
)
@log
@as_json
@click.pass_context
def train(ctx: click.Context, resume: Path | None, data_dir: Path | None, as_json: bool, **options: Any) -> None:
    """Cluster points or images and learn their density, without labels.

    Your own images are an .npz with x_train and x_test (uint8, N x H x W x C), or a folder with train/ and test/, all
    of one size. Labels (y_train and y_test; train/CLASS/ and test/CLASS/) serve to score only; without them test images
    may be missing too. Your own points are an .npz with x_train (N x columns).

    \b
    Example:
      gedi-nesy vision train --dataset moons --method gedi
      gedi-nesy vision train --dataset circles --method swav --published --seeds 5 --out runs/swav
      gedi-nesy vision train --resume runs/swav
      gedi-nesy vision train --dataset cifar10 --device cuda --set speed.bf16=true --set speed.channels_last=true
      torchrun --nproc-per-node 4 -m gedi_nesy vision train --dataset cifar10 --device cuda
    """
    from gedi_nesy.report.console import ProgressDisplay, summary_table
    from gedi_nesy.runs.callbacks import Interrupted
    from gedi_nesy.runs.device import how_started, is_first_process
    from gedi_nesy.vision.train import resume as resume_run

    console = Console(stderr=as_json, quiet=not is_first_process())
    with ProgressDisplay(console) as display:
        shared: dict[str, Any] = {"data_dir": data_dir, "progress": display.row}
        try:
            if resume:
                refuse_other_settings(ctx)
                runs = resume_run(resume, **shared)
            else:
                refuse_pairs(ctx)
                runs = _start(options, shared)
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


def _start(options: dict[str, Any], shared: dict[str, Any]) -> list[Run]:
    from gedi_nesy.data import TOYS
    from gedi_nesy.vision.recipe import recipe_for
    from gedi_nesy.vision.train import train_seeds

    names = ("method", "published", "recipe", "out", "settings")
    method, published, recipe, out, settings = (options.pop(name) for name in names)
    overrides = {key: value for key, value in options.items() if value not in (None, ())}
    dataset = overrides.get("dataset")
    if dataset and dataset not in TOYS and "data_noise" in overrides:
        raise UserError(f"--noise is for toys, and {dataset} is none; leave it out.")
    overrides |= read_settings(settings)
    name = recipe or recipe_for(method, published, dataset)
    return train_seeds(name, out=out, **shared, **overrides)


@vision.command()
@click.option(
    "--methods",
    type=Commas(Method(WITHOUT_RULE)),
    default="gedi,swav,barlow",
    show_default=True,
    help=f"Of {', '.join(WITHOUT_RULE)}; separated by commas.",
)
@click.option("--datasets", type=Commas(click.STRING), default="moons,circles", show_default=True)
@click.option("--published", is_flag=True, help="The methods' recipes exactly as the paper has them, instead of ours.")
@comparison_options
@click.option("--samples", type=NUMBER, help=SAMPLES)
@click.option("--inception", type=FOLDER, help=INCEPTION)
@click.option("--against", type=Commas(click.STRING), metavar="D[,D...]", help="Of images: svhn, ..., rotated, noise.")
@click.option("--out", type=FOLDER, default=Path("runs/vision"), show_default=True, help="The folder of all the runs.")
@click.option("--data-dir", type=FOLDER, help="Where images lie.  [default: $GEDI_NESY_DATA, then the user's cache]")
@as_json
def compare(
    methods: tuple[str, ...],
    datasets: tuple[str, ...],
    published: bool,
    seeds: int,
    first_seed: int,
    settings: tuple[str, ...],
    samples: int | None,
    inception: Path | None,
    against: tuple[str, ...] | None,
    out: Path,
    data_dir: Path | None,
    as_json: bool,
    **workers: Any,
) -> None:
    """Train several methods of the vision track on several data sets and seeds, and put their figures side by side.

    Every run has a folder of its own. The same command again keeps what is finished and goes on with the rest. Runs on
    images get every figure that `gedi-nesy vision evaluate` and `ood` have.

    \b
    Example:
      gedi-nesy vision compare --methods gedi,gedi-no-gen,swav --datasets moons,circles --seeds 5 --out runs/toys
      gedi-nesy vision compare --methods gedi,jem --datasets cifar10 --seeds 3 --against svhn --set device=cuda --jobs 1
    """
    from gedi_nesy.report.comparison import ComparisonDisplay
    from gedi_nesy.report.words import compared
    from gedi_nesy.runs.compare.scheduler import Stopped
    from gedi_nesy.runs.settings import parse_setting
    from gedi_nesy.vision.compare import compare as compare_cells
    from gedi_nesy.vision.compare import plan_cells
    from gedi_nesy.vision.evaluation import Evaluation

    console = Console(stderr=as_json)
    with ComparisonDisplay(console, compared("points", "images")) as display:
        overrides = dict(parse_setting(text) for text in settings)
        seed_range = range(first_seed, first_seed + seeds)
        cells = plan_cells(methods, datasets, seed_range, overrides, published=published, data_dir=data_dir)
        command = shlex.join(["gedi-nesy", *sys.argv[1:]])
        try:
            how: dict[str, Any] = {"data_dir": data_dir, "watch": display.show}
            how["evaluation"] = Evaluation(samples, inception, against or ())
            comparison = compare_cells(cells, out, command, **how, **workers)
        except Stopped as stopped:
            raise click.ClickException(f"Stopped with {stopped}; go on with the same command.") from stopped
    show_comparison(comparison, out, console, as_json)


@vision.command()
@click.argument("run", type=FOLDER)
@click.option("--samples", type=NUMBER, help=SAMPLES)
@click.option("--steps", type=COUNT, default=500, show_default=True, help="SGLD steps of each.")
@click.option("--inception", type=FOLDER, help=INCEPTION)
@click.option("--data-dir", type=FOLDER, help="Where data sets lie.  [default: $GEDI_NESY_DATA, then the user's cache]")
@click.option("--device", default="cpu", show_default=True)
@as_json
def evaluate(run: Path, device: str, as_json: bool, **options: Any) -> None:
    """Score a finished run on the whole test set.

    On images: clusters, a linear probe and nearest neighbours on its features, and how close samples are to real
    images. Without --inception their features come from a small classifier, which is trained at the first call (minutes
    on a CPU) and kept; the figures are then named FD(classifier) and KD(classifier), not FID.

    \b
    Example:
      gedi-nesy vision evaluate runs/vision-gedi-moons-seed0
      gedi-nesy vision evaluate runs/cifar10 --samples 10000 --device cuda --json
      gedi-nesy vision evaluate runs/cifar10 --inception weights-inception-2015-12-05-6726825d.pth
    """
    from gedi_nesy.report.console import summary_table
    from gedi_nesy.report.evaluation import evaluation_table
    from gedi_nesy.vision.evaluate import evaluate as evaluate_run
    from gedi_nesy.vision.run import load_run

    loaded = load_run(run, device)
    console = Console(stderr=as_json)
    with console.status("evaluating") as status:
        figures = evaluate_run(loaded, progress=status.update, **options)
    show(figures, evaluation_table if loaded.reads_images else summary_table, as_json)


@vision.command()
@click.argument("run", type=FOLDER)
@click.option("-n", "--number", type=COUNT, default=100, show_default=True, help="How many samples.")
@click.option("--steps", type=COUNT, default=500, show_default=True, help="SGLD steps of each.")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--out", type=Picture(), default="samples.png", show_default=True, help="The picture to write.")
def sample(run: Path, number: int, steps: int, seed: int, device: str, out: Path) -> None:
    """Draw images, or points in the plane, from the energy model with SGLD, from uniform noise.

    \b
    Example:
      gedi-nesy vision sample runs/vision-gedi-moons-seed0 -n 300 --out samples.png
    """
    from gedi_nesy.report.evaluation import WITHOUT_GEN
    from gedi_nesy.vision.run import load_run
    from gedi_nesy.vision.samples import draw_samples

    loaded = load_run(run, device)
    if not loaded.recipe.has_energy_model:
        click.echo(WITHOUT_GEN, err=True)
    with working("drawing samples"):
        draw_samples(loaded, out, number, steps=steps, seed=seed)
    click.echo(out)


@vision.command()
@click.argument("run", type=FOLDER)
@click.option(
    "--against", type=Commas(click.STRING), default="noise", show_default=True, metavar="D[,D...]", help=AGAINST
)
@click.option("--data-dir", type=FOLDER, help="Where data sets lie.  [default: $GEDI_NESY_DATA, then the user's cache]")
@click.option("--device", default="cpu", show_default=True)
@as_json
def ood(run: Path, against: tuple[str, ...], data_dir: Path | None, device: str, as_json: bool) -> None:
    """Measure how well scores tell the run's test set from foreign points or images: AUROC, 0.5 is chance.

    \b
    Example:
      gedi-nesy vision ood runs/vision-gedi-moons-seed0 --against noise,circles
      gedi-nesy vision ood runs/cifar10 --against svhn,cifar100,noise --device cuda
    """
    from gedi_nesy.report.console import ood_table
    from gedi_nesy.vision.ood import ood_auroc
    from gedi_nesy.vision.run import load_run

    with working("scoring familiar and foreign examples"):
        rows = ood_auroc(load_run(run, device), against, data_dir)
    show(rows, ood_table, as_json)


@vision.command()
@as_json
def recipes(as_json: bool) -> None:
    """List the recipes of the vision track: the paper's and ours.

    \b
    Example:
      gedi-nesy vision recipes
    """
    from gedi_nesy.vision.recipe import load_recipe, recipe_names

    show_recipes({name: load_recipe(name).about for name in recipe_names()}, as_json)
