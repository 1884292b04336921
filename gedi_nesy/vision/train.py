"""Start a run of the vision track, or continue one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gedi_nesy.core import processes
from gedi_nesy.data import DATASETS, TOYS
from gedi_nesy.data.points import load_points
from gedi_nesy.errors import UserError
from gedi_nesy.runs.callbacks import Progress, sign_of_life
from gedi_nesy.runs.device import float32_default, joined_processes
from gedi_nesy.runs.folder import RunFolder
from gedi_nesy.vision.recipe import Recipe, load_recipe
from gedi_nesy.vision.run import Run
from gedi_nesy.vision.session import Session


def train(
    recipe: str = "gedi",
    *,
    out: str | Path | None = None,
    data_dir: Path | None = None,
    progress: Progress = lambda row: None,
    **overrides: Any,
) -> Run:
    """Train from a recipe in a new run folder.

    Args:
        recipe: a recipe's name, or the path of a .toml file.
        out: the run folder, new or empty; by default `runs/vision-<recipe>-<dataset>-seed<seed>`.
        data_dir: where images are looked for first; then in $GEDI_NESY_DATA and the user's cache folder.
        progress: told the row of each logged step, and signs of life: `watch.sign_of_life`.
        overrides: settings to change; dotted names as in `**{"train.learning_rate": 1e-4}`.

    Raises:
        UserError: for settings, data or folders that can't be used; nothing is written then.
        Interrupted: on Ctrl-C or SIGTERM, with the state saved.
    """
    (run,) = train_seeds(recipe, out=out, data_dir=data_dir, progress=progress, **overrides | {"seeds": 1})
    return run


@float32_default()
def train_seeds(
    recipe: str = "gedi",
    *,
    out: str | Path | None = None,
    data_dir: Path | None = None,
    progress: Progress = lambda row: None,
    **overrides: Any,
) -> list[Run]:
    """Train a recipe on several seeds side by side, `seeds` of them from `seed` on, in one computation.

    Args:
        recipe: a recipe's name, or the path of a .toml file.
        out: the folder, new or empty; each seed's run goes to a folder below it, if there is more than one.
        data_dir: where images are looked for first; then in $GEDI_NESY_DATA and the user's cache folder.
        progress: told the row of each logged step, and signs of life: `watch.sign_of_life`.
        overrides: settings to change, "seeds" among them.

    Raises:
        UserError: for settings, data or folders that can't be used; nothing is written then.
        Interrupted: on Ctrl-C or SIGTERM, with the state saved.
    """
    settings = load_recipe(recipe, overrides)
    with joined_processes(settings.device):
        session = _prepare(settings, progress, data_dir)
        return session.run(_new_folder(session.recipe, out))


@float32_default()
def resume(folder: str | Path, *, data_dir: Path | None = None, progress: Progress = lambda row: None) -> list[Run]:
    """Continue what was stopped or killed, to the same weights as if it had not been.

    Raises:
        UserError: if there is no run to continue, or its checkpoint is damaged.
        Interrupted: on Ctrl-C or SIGTERM, with the state saved.
    """
    run_folder = RunFolder.open(Path(folder), has_rule=False)
    if (run_folder / "summary.json").is_file():
        raise UserError(f"The run {folder} is finished, there is nothing to resume; look at its report.html.")
    settings = load_recipe(str(run_folder / "config.toml"))
    with joined_processes(settings.device):
        return _prepare(settings, progress, data_dir).run(run_folder)


def settle(recipe: Recipe, data_dir: Path | None = None) -> Recipe:
    """The recipe as its run's config.toml will hold it: its data found, the path of a file absolute.

    Raises:
        UserError: for settings or data that can't be used.
    """
    return _prepare(recipe, lambda row: None, data_dir).recipe


def _prepare(recipe: Recipe, progress: Progress, data_dir: Path | None) -> Session:
    """What a run needs, checked before anything is written."""
    if recipe.dataset not in {**TOYS, **DATASETS} and Path(recipe.dataset).exists():
        recipe = recipe.model_copy(update={"dataset": str(Path(recipe.dataset).resolve())})
    seeds: Sequence[int] = range(recipe.seed, recipe.seed + recipe.seeds)
    of = (recipe.data_noise, recipe.data_scale, data_dir)
    progress(sign_of_life("reading the data"))
    data = [load_points(recipe.dataset, recipe.examples, seed, *of) for seed in seeds]
    if not len(data[0].x_train):
        raise UserError(f"{data[0].name} has test images only, to compare others with; train on another data set.")
    if not len(data[0].x_test):
        raise UserError(f"{data[0].name} has no test images; give some, or leave x_test out where there are no labels.")
    if data[0].are_images != recipe.network.reads_images:
        found, other = ("images", "paper-cifar10-gedi") if data[0].are_images else ("points", "gedi")
        raise UserError(
            f"{data[0].name} are {found}, which the recipe {recipe.recipe} is not for; take one like {other}."
        )
    progress(sign_of_life("preparing the views"))
    return Session(recipe, data, progress)


def _new_folder(recipe: Recipe, out: str | Path | None) -> RunFolder:
    """A new run folder with its config.toml; the first process makes it for all."""
    if processes.rank() > 0:
        return RunFolder(processes.from_first(None))
    folder = RunFolder.create(Path(out) if out else _default_folder(recipe))
    folder.write("config.toml", recipe.to_toml())
    return RunFolder(processes.from_first(folder.path))


def _default_folder(recipe: Recipe) -> Path:
    """The first free `runs/vision-<recipe>-<data>-seed<seed>[-<n>]`."""
    name = f"vision-{recipe.recipe}-{Path(recipe.dataset).stem}-seed{recipe.seed}"
    candidates = [Path("runs") / name] + [Path("runs") / f"{name}-{n}" for n in range(2, 1000)]
    return next(path for path in candidates if not path.exists())
