"""What a recipe leaves open and the data decide: the rule's networks, and what each of them reads."""

from collections.abc import Mapping

from gedi_nesy.core.schedule import Schedule
from gedi_nesy.errors import UserError, did_you_mean
from gedi_nesy.nesy.candidates import Shape
from gedi_nesy.nesy.inputs import describe_shape
from gedi_nesy.nesy.reading import GREY, Readings
from gedi_nesy.nesy.recipe import Read, Recipe
from gedi_nesy.networks.build import choose_network
from gedi_nesy.networks.own import Network, describe

LABELS = Schedule.of(25.0)  # the weight of labels, equal to the teacher's
# Labels are for rules that say little of a single image, as parity does; there predictions stay soft without L_INV.
SHARPEN = Schedule.of([[0.0, 0.0], [0.5, 0.0], [1.0, 20.0]])


def settle_networks(recipe: Recipe, readings: Readings, shapes: Mapping[str, Shape]) -> Recipe:
    """The recipe with the inputs of each network of the rule, and its architecture where the stages' own does not fit.

    Grey pictures of 28x28 pixels are read by the networks that the stages name, all others by one that is chosen by
    its name in the program, unless the user has named one.

    Raises:
        UserError: a network is named that the rule does not have, or the recipe needs MNIST_Net and the data another.
    """
    network = recipe.network
    named = dict.fromkeys(readings, network) if isinstance(network, str) else dict(network or {})
    for name in named:
        if name not in readings:
            hint = did_you_mean(name, list(readings))
            raise UserError(f"The rule has no network {name!r}{hint}; it calls {', '.join(readings)}.")
    for name, reading in readings.items():
        if name not in named and reading.shape != GREY:
            named[name] = choose_network(shapes[name].input, reading.is_drawing)
    stages = [recipe.train, recipe.student] if recipe.student else [recipe.train]
    if named and (recipe.head == "cosine" or any(stage.weights.used("embeddings") for stage in stages)):
        name, other = next(iter(named.items()))
        raise UserError(f"The method {recipe.method} needs mnist_net, and {name} is {other}; take another method.")
    inputs = {name: Read(shape=reading.shape, kind=reading.kind) for name, reading in readings.items()}
    described = {name: describe(other) for name, other in named.items()}
    return recipe.model_copy(update={"network": described or None, "inputs": inputs})


def weigh_labels(recipe: Recipe) -> Recipe:
    """The recipe with a weight for the labels that it names, where it has none; its student is made sure of itself."""
    stages = {"train": recipe.train} | ({"student": recipe.student} if recipe.student else {})
    if not recipe.labels or any(not stage.weights.labels.is_zero for stage in stages.values()):
        return recipe
    taught = {}
    for name, stage in stages.items():
        weights: dict[str, Schedule] = {"labels": LABELS}
        if name == "student" and stage.weights.inv.is_zero:
            weights["inv"] = SHARPEN
        taught[name] = stage.model_copy(update={"weights": stage.weights.model_copy(update=weights)})
    return recipe.model_copy(update=taught)


def say_networks(recipe: Recipe) -> list[str]:
    """A sentence for each network of a settled recipe that is not one of its stages'."""
    named = recipe.network if isinstance(recipe.network, dict) else {}
    return [
        f"{name} reads {recipe.inputs[name].kind}s, each {describe_shape(recipe.inputs[name].shape)}, by {network}."
        for name, network in named.items()
    ]


def own_networks(recipe: Recipe, given: Network | Mapping[str, Network] | None) -> dict[str, Network]:
    """Classes and functions that a user gives for a settled recipe's networks, by the descriptions that it has."""
    named = recipe.network if isinstance(recipe.network, dict) else {}
    if given is None:
        return {}
    by_name = given if isinstance(given, Mapping) else dict.fromkeys(named, given)
    return {named[name]: network for name, network in by_name.items() if name in named}


def as_it_was(recipe: Recipe) -> Recipe:
    """The recipe of a run's config.toml; older runs made a table's images grey and 28x28 without saying so."""
    if recipe.inputs or not recipe.data:
        return recipe
    return recipe.model_copy(update={"size": GREY[1:], "channels": GREY[0]})
