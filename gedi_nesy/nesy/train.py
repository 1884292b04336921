"""Start a run, or continue one."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gedi_nesy.data import Images, default_images, load_images
from gedi_nesy.data.load import DATASETS
from gedi_nesy.errors import UserError
from gedi_nesy.logic.program import Source, find_program, read_source
from gedi_nesy.nesy.evaluate import draw_test_examples
from gedi_nesy.nesy.examples import draw_examples
from gedi_nesy.nesy.learner import Learner
from gedi_nesy.nesy.recipe import DEFAULT_EXAMPLES, OURS, Recipe, load_recipe, recipe_for
from gedi_nesy.nesy.results import Results
from gedi_nesy.nesy.run import Run, build_constraint, copied_files, saved_program
from gedi_nesy.nesy.table import count_rows, read_table
from gedi_nesy.report.console import shown_progress
from gedi_nesy.runs.callbacks import Progress, sign_of_life
from gedi_nesy.runs.device import float32_default, is_first_process, joined_processes
from gedi_nesy.runs.folder import RunFolder
from gedi_nesy.runs.logs import check_logs
from gedi_nesy.runs.session import Session
from gedi_nesy.runs.start import new_folder, open_unfinished

Notify = Callable[[str], None]


@float32_default()
def train(
    recipe: str | None = None,
    *,
    method: str | None = None,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    notify: Notify = warnings.warn,
    progress: Progress | bool = True,
    **overrides: Any,
) -> Run:
    """Train from a recipe in a new run folder.

    Args:
        recipe: a recipe's name, or the path of a .toml file; by default the method's for this number of examples.
        method: what to train, by default gedi+nesy.
        out: the run folder, new or empty; by default `runs/<recipe>-<dataset>-<examples>-seed<seed>`.
        data_dir: where data sets lie; by default $GEDI_NESY_DATA, then the user's cache folder.
        notify: told what a user must know, for example that digits stand in for MNIST.
        progress: True shows it in a terminal or notebook, False nowhere; or a function that is told the row of each
            logged step, with its losses, and between them signs of life: `stage`, `step` and `steps` (0: unknown).
        overrides: settings to change; dotted names as in `**{"train.learning_rate": 1e-4}`.

    Raises:
        UserError: for settings, data or folders that can't be used; nothing is written then.
        Interrupted: on Ctrl-C or SIGTERM, with the state saved.
    """
    overrides = {key: str(value) if isinstance(value, Path) else value for key, value in overrides.items()}
    settings = load_recipe(recipe or _recipe_for(method, overrides), overrides)
    if method and settings.method != method:
        raise UserError(f"The recipe {recipe} is of the method {settings.method}, not {method}; leave one of them out.")
    program = read_source(find_program(settings.program))
    with joined_processes(settings.device), shown_progress(is_first_process() and progress) as tell:
        prepared = _prepare(settings, program, data_dir, notify, tell)
        return prepared.train(new_folder(out, prepared.name, prepared.files(program)), tell)


def _recipe_for(method: str | None, overrides: Mapping[str, Any]) -> str:
    """The recipe of a method for as many examples as are asked for, or as a table has."""
    examples = overrides.get("examples", DEFAULT_EXAMPLES)
    if method not in (None, OURS):
        return recipe_for(method, examples)
    if overrides.get("data"):
        examples = count_rows(Path(overrides["data"]))
    return recipe_for(OURS, examples if isinstance(examples, int) else DEFAULT_EXAMPLES)  # what is no number is refused


@float32_default()
def resume(
    folder: str | Path,
    *,
    trust: bool = False,
    data_dir: str | Path | None = None,
    notify: Notify = warnings.warn,
    progress: Progress | bool = True,
) -> Run:
    """Continue a run that was stopped or killed, to the same weights as if it had not been.

    Args:
        folder: the run's.
        trust: let the run's program load Python and files outside its folder; that it began so is not enough.
        data_dir: as for `train`.
        notify: as for `train`.
        progress: as for `train`.

    Raises:
        UserError: if there is no run to continue, or its checkpoint is damaged.
        Interrupted: on Ctrl-C or SIGTERM, with the state saved.
    """
    run_folder = open_unfinished(folder, ["rule"], f"it with `gedi-nesy evaluate {folder}`")
    settings = load_recipe(str(run_folder / "config.toml"), {"trust": trust})
    program = saved_program(run_folder, settings)
    with joined_processes(settings.device), shown_progress(is_first_process() and progress) as tell:
        return _prepare(settings, program, data_dir, notify, tell).train(run_folder, tell)


def settle(recipe: Recipe, *, data_dir: str | Path | None = None, notify: Notify = warnings.warn) -> Recipe:
    """The recipe as its run's config.toml will hold it: its data found, the paths of its files absolute.

    Raises:
        UserError: for settings or data that can't be used.
    """
    program = read_source(find_program(recipe.program))
    return _prepare(recipe, program, data_dir, notify, lambda row: None).recipe


@dataclass(frozen=True)
class _Prepared:
    """What a run needs, and the recipe as its config.toml holds it."""

    recipe: Recipe
    learner: Learner
    images: Images | None

    @property
    def name(self) -> str:
        """Of the run's folder."""
        data = Path(self.recipe.data or str(self.recipe.dataset)).stem
        return f"{self.recipe.recipe}-{data}-{self.recipe.examples}-seed{self.recipe.seed}"

    def files(self, program: Source) -> dict[str, str]:
        """What the run's folder begins with."""
        return copied_files(self.learner.constraint, program) | {"config.toml": self.recipe.to_toml()}

    def train(self, folder: RunFolder, progress: Progress) -> Run:
        """Train what is left of the run in this folder, and write its results."""
        session = Session(self.learner, self.recipe, folder, progress)
        return session.run(Results(session, self.recipe, self.learner, self.images).write)


def _prepare(
    recipe: Recipe, program: Source, data_dir: str | Path | None, notify: Notify, progress: Progress
) -> _Prepared:
    """What a run needs, checked before anything is written; the recipe names the data that was found."""
    check_logs(recipe.log)
    paths = {key: str(Path(value).resolve()) for key, value in _own_files(recipe).items()}
    recipe = recipe.model_copy(update=paths)  # so that config.toml means the same from any folder

    def tell(stage: str, step: int = 0, steps: int = 0) -> None:
        progress(sign_of_life(stage, step, steps))

    tell("compiling the rule")
    constraint = build_constraint(recipe, program)
    tell("reading the data")
    if recipe.data:
        examples = read_table(Path(recipe.data), constraint)
        recipe = recipe.model_copy(update={"examples": len(examples)})
        return _Prepared(recipe, Learner(recipe, constraint, examples, tell), None)
    images = _find_images(recipe, data_dir, notify)
    recipe = recipe.model_copy(update={"dataset": recipe.dataset or images.name})
    generator = torch.Generator().manual_seed(recipe.seed)
    x, y, classes = images.x_train, images.y_train, images.classes
    examples = draw_examples(constraint, x, y, classes, recipe.examples, generator)
    if examples.reused:
        notify(f"{images.name} has too few images for {recipe.examples} examples; some are used more than once.")
    learner = Learner(recipe, constraint, examples, tell)
    draw_test_examples(constraint, images)  # refuses a test set that can't be scored on
    return _Prepared(recipe, learner, images)


def _own_files(recipe: Recipe) -> dict[str, str]:
    """The settings that name a file or folder of the user's."""
    program = next((name for name in (recipe.program, f"{recipe.program}.pl") if Path(name).is_file()), None)
    dataset = None if recipe.dataset in DATASETS else recipe.dataset
    settings = {"program": program, "dataset": dataset, "data": recipe.data}
    return {key: value for key, value in settings.items() if value and Path(value).exists()}


def _find_images(recipe: Recipe, data_dir: str | Path | None, notify: Notify) -> Images:
    where = Path(data_dir) if data_dir else None
    if recipe.dataset:
        return load_images(recipe.dataset, where)
    images, notice = default_images(where)
    if notice:
        notify(notice)
    return images
