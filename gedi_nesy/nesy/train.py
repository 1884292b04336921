"""Start a run, or continue one."""

import time
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.data import Images, default_images, load_images
from gedi_nesy.data.inputs import as_inputs
from gedi_nesy.data.load import DATASETS
from gedi_nesy.data.npz import load_arrays
from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.program import Program, Source, find_program, read_source
from gedi_nesy.logic.query import Query
from gedi_nesy.nesy.cut import cut_examples
from gedi_nesy.nesy.evaluate import examples_for_test
from gedi_nesy.nesy.examples import Examples, draw_examples
from gedi_nesy.nesy.learner import Learner
from gedi_nesy.nesy.matching import NoLikeness, least_separation
from gedi_nesy.nesy.queries import Rule, asked, parts_of
from gedi_nesy.nesy.reading import GREY
from gedi_nesy.nesy.recipe import DEFAULT_EXAMPLES, OURS, Read, Recipe, load_recipe, recipe_for
from gedi_nesy.nesy.results import Results
from gedi_nesy.nesy.run import ALL, Run, ask_recipe, copied_files, saved_program
from gedi_nesy.nesy.settle import as_it_was, own_networks, say_networks
from gedi_nesy.nesy.table import count_arrays, count_rows, examples_of_each, numbered, read_examples
from gedi_nesy.networks.own import Network, describe
from gedi_nesy.report.console import shown_progress
from gedi_nesy.runs.callbacks import Interrupted, Progress, sign_of_life
from gedi_nesy.runs.device import cpu_threads, float32_default, is_first_process, joined_processes
from gedi_nesy.runs.folder import RunFolder
from gedi_nesy.runs.logs import check_logs
from gedi_nesy.runs.session import Session
from gedi_nesy.runs.start import new_folder, open_unfinished

Notify = Callable[[str], None]
EXAMPLES = "examples.npz"  # a run's own copy of the arrays that it was given
RESTARTS = "gedi-nesy-restarts"  # the recipe where matching has too little to compare by
VECTORS = "gedi-nesy-vectors"  # the recipe where all inputs are vectors
PICTURES = "gedi-nesy-pictures"  # the recipe where some are pictures that are not grey and 28x28
PHOTOGRAPHS = "gedi-nesy-photographs"  # the recipe where some are no drawings
PHOTOGRAPHS_RESTARTS = "gedi-nesy-photographs-restarts"  # the recipe where such pictures can't be matched


@float32_default()
def train(
    recipe: str | None = None,
    *,
    method: str | None = None,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    data: str | Path | Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    network: Network | Mapping[str, Network] | None = None,
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
        data: your own examples: a CSV table, an .npz file, or for each variable of the query a tensor or array of
            pictures, uint8 [N, C, H, W], or of vectors, float [N, D], or of an argument's values. Beside X, X_features
            may say which of its pictures are alike, float [N, D]. Of several queries a list with such a mapping for
            each; a CSV table's lines belong to the query whose columns they fill.
        network: a name as "resnet8-32", "file.py:factory", or a module class or function called as
            `network(input_shape, classes)`; or one of these for some of the rule's networks. By default it is chosen by
            what the inputs are.
        notify: told what a user must know, for example that digits stand in for MNIST.
        progress: True shows it in a terminal or notebook, False nowhere; or a function that is told the row of each
            logged step, with its losses, and between them signs of life: `stage`, `step` and `steps` (0: unknown).
        overrides: settings to change; dotted names as in `**{"train.learning_rate": 1e-4}`. `examples="all"` makes of
            the data set as many examples as use each image once; `seconds=600` ends the training then. With
            `query=["sum(X,S)", "sum(X,Y,S)"]` each example satisfies one of several queries, and all teach the
            networks; of a data set each gets as many.

    Raises:
        UserError: for settings, data or folders that can't be used; nothing is written then.
        Interrupted: on Ctrl-C or SIGTERM, with the state saved.

    Curves go anywhere by `progress`, for example to Weights & Biases:

        def to_wandb(row):
            if "loss" in row:  # else a sign of life
                wandb.log({f"{row['stage']}/{name}": loss for name, loss in row["loss"].items()} | {"D": row["D"]})

        train(examples=1000, progress=to_wandb)
    """
    overrides = {key: str(value) if isinstance(value, Path) else value for key, value in overrides.items()}
    table = data if data is None or isinstance(data, str | Path | Mapping) else numbered(data)
    given = table if isinstance(table, Mapping) else None
    _check_settable(overrides, given is not None)
    overrides |= _own_settings(table, network)
    if overrides.get("examples") == ALL:
        overrides |= _all_examples(recipe, overrides, Path(data_dir) if data_dir else None)
    examples = _count(overrides, given)
    settings = load_recipe(recipe or _recipe_for(method, overrides, examples), overrides)
    if settings.data == EXAMPLES and given is None:  # of a run's config.toml
        settings = settings.model_copy(update={"data": str(Path(str(recipe)).resolve().parent / EXAMPLES)})
    if method and settings.method != method:
        raise UserError(f"The recipe {recipe} is of the method {settings.method}, not {method}; leave one of them out.")
    program = read_source(find_program(settings.program))
    own = Own(given, _functions(network), Path(data_dir) if data_dir else None, notify)
    with joined_processes(settings.device), shown_progress(is_first_process() and progress) as tell:
        chosen = recipe is None and settings.method == OURS
        if chosen:
            prepared = _prepare_ours(settings, overrides, program, own, tell)
        else:
            prepared = _prepare(settings, program, own, tell)
        folder = new_folder(out, prepared.name, prepared.files(program))
        if given is not None and is_first_process():
            folder.write_arrays(EXAMPLES, given)
        if chosen and prepared.recipe.matching:
            prepared = _search(prepared, overrides, program, own, folder, tell)
        return prepared.train(folder, tell)


def _prepare_ours(
    settings: Recipe, overrides: Mapping[str, Any], program: Source, own: "Own", tell: Progress
) -> "_Prepared":
    """With the recipe of ours that fits the inputs, and another one where nothing says what is alike."""
    try:
        prepared = _prepare(settings, program, own, tell)
    except NoLikeness:
        own.notify(
            f"Nothing says before training which inputs are alike, so this run takes the recipe {PHOTOGRAPHS_RESTARTS}."
        )
        return _prepare(load_recipe(PHOTOGRAPHS_RESTARTS, _without_matching(overrides)), program, own, tell)
    fitting = _recipe_by(prepared.recipe.inputs.values())
    if fitting is None:
        return prepared
    return _prepare(load_recipe(fitting, overrides), program, replace(own, notify=lambda text: None), tell)


def _recipe_by(inputs: Collection[Read]) -> str | None:
    """The recipe for what a rule's networks read; None where grey drawings of 28x28 pixels take the usual one."""
    if all(read.kind == "vector" for read in inputs):
        return VECTORS
    if any(read.kind == "picture" for read in inputs):
        return PHOTOGRAPHS
    return PICTURES if any(read.kind != "vector" and read.shape != GREY for read in inputs) else None


def _restarts_for(inputs: Collection[Read]) -> str:
    """The recipe where matching has too little to compare by."""
    return PHOTOGRAPHS_RESTARTS if any(read.kind == "picture" for read in inputs) else RESTARTS


def _search(
    prepared: "_Prepared", overrides: Mapping[str, Any], program: Source, own: "Own", folder: RunFolder, tell: Progress
) -> "_Prepared":
    """Match; where that separates the symbols too badly, the run becomes one of restarts, and its folder says so.

    Raises:
        Interrupted: on Ctrl-C; the run can be continued.
    """
    started = time.monotonic()
    try:
        with cpu_threads(prepared.recipe.threads):
            matched = prepared.learner.search()
    except KeyboardInterrupt as stopped:
        raise Interrupted(folder.path) from stopped
    assert prepared.recipe.matching is not None
    least = least_separation(prepared.recipe.matching, prepared.learner.matchable[0])
    separation = max(matched.separation or 0.0, 0.0)
    if separation < least:
        recipe = _restarts_for(prepared.recipe.inputs.values())
        own.notify(
            f"Symbols matched by {matched.likeness} separate {separation:.2f}, less than the {least:.2f} they "
            f"should, so this run takes the recipe {recipe}."
        )
        restarts = load_recipe(recipe, {**_without_matching(overrides), "unmatched": separation})
        prepared = _prepare(restarts, program, replace(own, notify=lambda text: None), tell)
        if is_first_process():
            folder.write("config.toml", prepared.recipe.to_toml())
    return replace(prepared, seconds=time.monotonic() - started)


def _without_matching(overrides: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in overrides.items() if key.partition(".")[0] != "matching"}


def _check_settable(overrides: Mapping[str, Any], beside_arrays: bool) -> None:
    """UserError for settings that would be passed over: what data tell, and beside arrays what is about files."""
    told = next((name for name in overrides if name.split(".")[0] == "inputs"), None)
    if told:
        raise UserError(f"{told} is told from the data, and can't be set.")
    if not beside_arrays:
        return
    for name in ("size", "channels", "features"):
        if overrides.get(name) is not None:
            instead = "give arrays such as X_features" if name == "features" else "give arrays as they should be"
            raise UserError(f"{name} goes with a table of image files; {instead}, and leave {name} out.")


def _own_settings(data: str | Path | Mapping[str, Any] | None, network: Any) -> dict[str, Any]:
    """What config.toml keeps of a user's own data and networks."""
    settings: dict[str, Any] = {}
    if data is not None:
        settings["data"] = EXAMPLES if isinstance(data, Mapping) else str(Path(data).resolve())
    if network is not None:
        by_name = isinstance(network, Mapping)
        settings["network"] = {k: describe(v) for k, v in network.items()} if by_name else describe(network)
    return settings


def _functions(network: Network | Mapping[str, Network] | None) -> dict[str, Network]:
    """The classes and functions of Python among a user's networks, by their descriptions."""
    each = network.values() if isinstance(network, Mapping) else [network]
    return {describe(one): one for one in each if one is not None and not isinstance(one, str)}


def _count(overrides: Mapping[str, Any], given: Mapping[str, Any] | None) -> Any:
    """How many examples are asked for, or a table has."""
    if given is not None:
        return count_arrays(given)
    if overrides.get("data"):
        return count_rows(Path(overrides["data"]))
    return overrides.get("examples", DEFAULT_EXAMPLES)


def _all_examples(recipe: str | None, overrides: Mapping[str, Any], data_dir: Path | None) -> dict[str, Any]:
    """The settings that `examples="all"` stands for: each image once, and at most so many examples."""
    if overrides.get("data"):
        raise UserError("examples = all is about a dataset; of data all examples are taken anyway.")
    others = {key: value for key, value in overrides.items() if key != "examples"}
    settings = load_recipe(recipe or recipe_for(OURS, DEFAULT_EXAMPLES), others)
    program = read_source(find_program(settings.program))
    queries = [Query(Program(program), *one) for one in asked(program, settings.query, settings.arguments)]
    images = load_images(settings.dataset, data_dir) if settings.dataset else default_images(data_dir)[0]
    each = len(images.x_train) // sum(len(query.images) for query in queries)
    return {"examples": max(1, each) * len(queries), "each_once": True}


def _recipe_for(method: str | None, overrides: Mapping[str, Any], examples: Any) -> str:
    """The recipe of a method for as many examples."""
    if method not in (None, OURS):
        return recipe_for(method, overrides.get("examples", DEFAULT_EXAMPLES))
    return recipe_for(OURS, examples if isinstance(examples, int) else DEFAULT_EXAMPLES)  # what is no number is refused


@float32_default()
def resume(
    folder: str | Path,
    *,
    trust: bool = False,
    network: Network | Mapping[str, Network] | None = None,
    data_dir: str | Path | None = None,
    notify: Notify = warnings.warn,
    progress: Progress | bool = True,
) -> Run:
    """Continue a run that was stopped or killed, to the same weights as if it had not been.

    Args:
        folder: the run's.
        trust: let the run's program load Python and files outside its folder, and execute the file of a user's network.
            A run that began with trust needs it again.
        network: the class or function that makes the networks, where they are a user's own; or for some of the rule's
            networks. Without it the run's config.toml says where it is.
        data_dir: as for `train`.
        notify: as for `train`.
        progress: as for `train`.

    Raises:
        UserError: if there is no run to continue, or its checkpoint is damaged.
        Interrupted: on Ctrl-C or SIGTERM, with the state saved.
    """
    run_folder = open_unfinished(folder, ["rule"], f"it with `gedi-nesy evaluate {folder}`")
    settings = as_it_was(load_recipe(str(run_folder / "config.toml"), {"trust": trust}))
    program = saved_program(run_folder, settings)
    own = Own(None, own_networks(settings, network), Path(data_dir) if data_dir else None, notify, run_folder.path)
    with joined_processes(settings.device), shown_progress(is_first_process() and progress) as tell:
        return _prepare(settings, program, own, tell).train(run_folder, tell)


def settle(recipe: Recipe, *, data_dir: str | Path | None = None, notify: Notify = warnings.warn) -> Recipe:
    """The recipe as its run's config.toml will hold it, with the name of its data and absolute paths.

    Raises:
        UserError: for settings or data that can't be used.
    """
    program = read_source(find_program(recipe.program))
    own = Own(None, {}, Path(data_dir) if data_dir else None, notify)
    return _prepare(recipe, program, own, lambda row: None).recipe


@dataclass(frozen=True)
class Own:
    """What a caller brings beside the settings.

    Attributes:
        data: examples as arrays, in place of a file.
        networks: classes and functions of Python by their descriptions.
        data_dir: where data sets lie.
        notify: told what a user must know.
        folder: of a run that is continued.
    """

    data: Mapping[str, Any] | None
    networks: Mapping[str, Network]
    data_dir: Path | None
    notify: Notify
    folder: Path = Path()


@dataclass(frozen=True)
class _Prepared:
    """What a run needs, and the recipe as its config.toml holds it."""

    recipe: Recipe
    learner: Learner
    images: Images | None
    seconds: float = 0.0  # that were spent on it so far

    @property
    def name(self) -> str:
        """Of the run's folder."""
        data = Path(self.recipe.data or str(self.recipe.dataset)).stem
        return f"{self.recipe.recipe}-{data}-{self.recipe.examples}-seed{self.recipe.seed}"

    def files(self, program: Source) -> dict[str, str]:
        """The first files of the run's folder."""
        return copied_files(self.learner.rule, program) | {"config.toml": self.recipe.to_toml()}

    def train(self, folder: RunFolder, progress: Progress) -> Run:
        """Train what is left of the run in this folder, and write its results."""
        session = Session(self.learner, self.recipe, folder, progress, before=self.seconds)
        return session.run(Results(session, self.recipe, self.learner, self.images).write)


def _prepare(recipe: Recipe, program: Source, own: Own, progress: Progress) -> _Prepared:
    """What a run needs, checked before anything is written; the recipe names the data that is there."""
    check_logs(recipe.log)
    paths = {key: str(Path(value).resolve()) for key, value in _own_files(recipe).items()}
    recipe = recipe.model_copy(update=paths)  # so that config.toml means the same from any folder

    def tell(stage: str, step: int = 0, steps: int = 0) -> None:
        progress(sign_of_life(stage, step, steps))

    tell("compiling the rule")
    rule = ask_recipe(recipe, program)
    tell("reading the data")
    images = None if recipe.data else _find_images(recipe, own)
    if images:
        recipe = recipe.model_copy(update={"dataset": recipe.dataset or images.name})
        examples = _draw(recipe, rule, images, own.notify)
    else:
        arrays = own.data
        examples = read_examples(recipe, rule, own.folder) if arrays is None else examples_of_each(rule, arrays)
    recipe = recipe.model_copy(update={"examples": sum(map(len, examples))})
    learner = Learner(recipe, rule, examples, tell, own.networks)
    for sentence in [] if recipe.inputs else [*say_networks(learner.recipe), *learner.say_queries()]:
        own.notify(sentence)
    if images:
        examples_for_test(rule, images, recipe.each_once)  # refuses a test set that can't be scored on
    return _Prepared(learner.recipe, learner, images)


def _draw(recipe: Recipe, rule: Rule, images: Images, notify: Notify) -> list[Examples]:
    """Examples of each query from a data set's training images, of each query as many."""
    generator = torch.Generator().manual_seed(recipe.seed)
    x, y, classes, parts = images.x_train, images.y_train, images.classes, parts_of(rule)
    features = _features_of(recipe.features, len(x)) if recipe.features else None
    draw = cut_examples if recipe.each_once else draw_examples
    if recipe.examples < len(parts):
        raise UserError(f"{recipe.examples} examples are too few for {len(parts)} queries; give each one or more.")
    examples = []
    for k, (part, rows) in enumerate(zip(parts, _shared_out(len(x), parts, generator), strict=True)):
        n = recipe.examples // len(parts) + (k < recipe.examples % len(parts))
        beside = None if features is None else features[rows]
        examples.append(draw(part, x[rows], y[rows], classes, n, generator, beside))
    if (drawn := sum(map(len, examples))) < recipe.examples:
        notify(f"{images.name} has images for {drawn} examples of this rule, each once, not {recipe.examples}.")
    if any(own.reused for own in examples):
        notify(f"{images.name} has too few images for {recipe.examples} examples; some are used more than once.")
    return examples


def _shared_out(n: int, parts: Sequence[Constraint], generator: torch.Generator) -> list[Tensor | slice]:
    """Of n images those for each query, by the number of images that an example has; none serves two queries."""
    if len(parts) == 1:
        return [slice(None)]
    sizes = [len(part.query.images) for part in parts]
    shares = [n * size // sum(sizes) for size in sizes]
    return list(torch.randperm(n, generator=generator)[: sum(shares)].split(shares))


def _features_of(path: str, images: int) -> Tensor:
    """The features of a data set's training images: x_train, [images, D], of an .npz file."""
    arrays = load_arrays(Path(path))
    vectors = as_inputs(f"{path}: x_train", arrays.get("x_train", torch.zeros(0, 1)))
    if vectors.dim() != 2 or len(vectors) != images:
        raise UserError(f"{path}: x_train is {list(vectors.shape)}; give [{images}, D], one for each training image.")
    return vectors


def _own_files(recipe: Recipe) -> dict[str, str]:
    """The settings that name a file or folder of the user's."""
    program = next((name for name in (recipe.program, f"{recipe.program}.pl") if Path(name).is_file()), None)
    dataset = None if recipe.dataset in DATASETS else recipe.dataset
    data = None if recipe.data == EXAMPLES else recipe.data
    settings = {
        "program": program,
        "dataset": dataset,
        "data": data,
        "features": recipe.features,
        "labels": recipe.labels,
    }
    return {key: value for key, value in settings.items() if value and Path(value).exists()}


def _find_images(recipe: Recipe, own: Own) -> Images:
    if recipe.dataset:
        return load_images(recipe.dataset, own.data_dir).at(recipe.size, recipe.channels)
    images, notice = default_images(own.data_dir)
    if notice:
        own.notify(notice)
    return images.at(recipe.size, recipe.channels)
