"""Start a run of the vision track, or continue one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gedi_nesy.data import DATASETS, TOYS
from gedi_nesy.data.points import Points, load_points
from gedi_nesy.errors import UserError
from gedi_nesy.runs.callbacks import Progress, sign_of_life
from gedi_nesy.runs.device import float32_default, joined_processes
from gedi_nesy.runs.folder import RunFolder
from gedi_nesy.runs.logs import check_logs
from gedi_nesy.runs.session import Session
from gedi_nesy.runs.start import new_folder, open_unfinished
from gedi_nesy.vision.learner import Learner
from gedi_nesy.vision.recipe import TRACKS, Recipe, load_recipe
from gedi_nesy.vision.results import Results
from gedi_nesy.vision.run import Run
from gedi_nesy.vision.snapshots import Snapshots


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
        progress: told the row of each logged step, and signs of life: `callbacks.sign_of_life`.
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
        progress: told the row of each logged step, and signs of life: `callbacks.sign_of_life`.
        overrides: settings to change, "seeds" among them.

    Raises:
        UserError: for settings, data or folders that can't be used; nothing is written then.
        Interrupted: on Ctrl-C or SIGTERM, with the state saved.
    """
    settings = load_recipe(recipe, overrides)
    with joined_processes(settings.device):
        prepared = _prepare(settings, progress, data_dir)
        settled = prepared.recipe
        name = f"vision-{settled.recipe}-{Path(settled.dataset).stem}-seed{settled.seed}"
        return prepared.train(new_folder(out, name, {"config.toml": settled.to_toml()}), progress)


@float32_default()
def resume(folder: str | Path, *, data_dir: Path | None = None, progress: Progress = lambda row: None) -> list[Run]:
    """Continue a training that was stopped or killed, to the same weights as if it had not been.

    Raises:
        UserError: if there is no run to continue, or its checkpoint is damaged.
        Interrupted: on Ctrl-C or SIGTERM, with the state saved.
    """
    run_folder = open_unfinished(folder, TRACKS, "its report.html")
    settings = load_recipe(str(run_folder / "config.toml"))
    with joined_processes(settings.device):
        return _prepare(settings, progress, data_dir).train(run_folder, progress)


def settle(recipe: Recipe, data_dir: Path | None = None) -> Recipe:
    """The recipe as its run's config.toml will hold it, with the path of a file made absolute.

    Raises:
        UserError: for settings or data that can't be used.
    """
    return _prepare(recipe, lambda row: None, data_dir).recipe


@dataclass(frozen=True)
class _Prepared:
    """What a run needs, and the recipe as its config.toml holds it."""

    recipe: Recipe
    data: Sequence[Points]
    learner: Learner

    def train(self, folder: RunFolder, progress: Progress) -> list[Run]:
        """Train what is left of the run in this folder, and write its results."""
        snapshots = Snapshots()
        own = [snapshots] if self.data[0].in_plane else []
        session = Session(self.learner, self.recipe, folder, progress, own)
        return session.run(Results(session, self.recipe, self.learner, self.data, snapshots).write)


def _prepare(recipe: Recipe, progress: Progress, data_dir: Path | None) -> _Prepared:
    """What a run needs, checked before anything is written."""
    check_logs(recipe.log)
    if recipe.dataset not in {**TOYS, **DATASETS} and Path(recipe.dataset).exists():
        recipe = recipe.model_copy(update={"dataset": str(Path(recipe.dataset).resolve())})
    progress(sign_of_life("reading the data"))
    seeds = range(recipe.seed, recipe.seed + recipe.seeds)
    data = [load_points(recipe.dataset, recipe.examples, seed, recipe.data_noise, data_dir) for seed in seeds]
    _check_data(recipe, data[0])
    progress(sign_of_life("preparing the views"))
    return _Prepared(recipe, data, Learner(recipe, [points.x_train for points in data], _clusters(recipe, data[0])))


def _check_data(recipe: Recipe, points: Points) -> None:
    """UserError where a recipe can't train on such points or images, or not be scored on them."""
    if not len(points.x_train):
        raise UserError(f"{points.name} has test images only, to compare others with; train on another data set.")
    if not len(points.x_test):
        raise UserError(f"{points.name} has no test images; give some, or leave x_test out where there are no labels.")
    if points.are_images != (recipe.track == "images"):
        kind, other = ("images", "paper-cifar10-gedi") if points.are_images else ("points", "gedi")
        raise UserError(
            f"{points.name} are {kind}, which the recipe {recipe.recipe} is not for; take one like {other}."
        )


def _clusters(recipe: Recipe, points: Points) -> int:
    """The number of clusters to find; UserError where nothing says it, or it is one."""
    clusters = recipe.clusters or points.classes
    if clusters is None:
        raise UserError(f"{recipe.dataset} has no labels to count; say how many clusters, as --set clusters=5.")
    if clusters < 2:
        raise UserError(f"One cluster of {recipe.dataset} is nothing to learn; ask for more, as --set clusters=5.")
    return clusters
