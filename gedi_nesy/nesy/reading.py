"""How a network of a rule reads its inputs: their kind and shape, their scale, and their random views."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gedi_nesy.core.reference import Reference, ground_of
from gedi_nesy.data.scale import SCALES, Scale, VectorScale
from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.inputs import Inputs, describe_shape
from gedi_nesy.nesy.recipe import Read, Recipe, Stage, View
from gedi_nesy.views.choose import Kind, PictureView, VectorView, kind_of
from gedi_nesy.views.drawings import Warp, add_noise, ground_of_each, recolour

GREY = (1, 28, 28)  # MNIST's shape, and of all runs before there were others
USUAL = View()
GROUND = 1000  # inputs whose median is the ground


@dataclass(frozen=True, eq=False)
class Reading:
    """How a network reads its inputs.

    Attributes:
        kind: what they are.
        shape: of one of them, (C, H, W) or (D,).
        scale: how they become inputs around 0.
        ground: what pictures are drawn on, [C, 1, 1], the most common one where each has its own; 0 for vectors, [1].
        settings: of the views of pictures and vectors.
    """

    kind: Kind
    shape: tuple[int, ...]
    scale: Scale | VectorScale
    ground: Tensor
    settings: View = USUAL

    @property
    def is_vector(self) -> bool:
        """Whether the inputs are vectors, which no picture can show."""
        return self.kind == "vector"

    @property
    def is_drawing(self) -> bool:
        """Whether the inputs are drawings, in one colour or in many."""
        return self.kind in ("drawing", "coloured drawing")

    def view(self, x: Tensor, stage: Stage, generator: torch.Generator) -> Tensor:
        """A stage's T(x'|x) of inputs [batch, images * C, H, W] or [batch, images * D], each image in its own way."""
        if self.is_vector:
            return self._noisy(x, stage, generator)
        if stage.warp:
            x = self._changed(x.reshape(-1, *self.shape), stage.warp, generator).view_as(x)
        return add_noise(x, stage.noise, generator) if stage.noise else x

    def _noisy(self, x: Tensor, stage: Stage, generator: torch.Generator) -> Tensor:
        noise, dropout = (self.settings.noise, self.settings.dropout) if stage.warp else (stage.noise, 0.0)
        return VectorView(x.new_zeros(1), x.new_ones(1), noise, dropout)(x, generator)

    def _changed(self, x: Tensor, warp: float, generator: torch.Generator) -> Tensor:
        view, scale = self.settings, self.scale
        if not self.is_drawing:
            changed = PictureView(scale.low, scale.high, view.crop, view.flip, view.jitter, view.desaturate)
            return changed(x, generator)
        x = Warp().scaled(warp)(x, self.surroundings(x), generator)
        if self.kind == "drawing" or not view.jitter:
            return x
        return recolour(x, view.jitter, scale.low, scale.high, generator)

    def surroundings(self, x: Tensor) -> Tensor:
        """What comes in from outside the frames of pictures [batch, C, H, W]; in colours, each has its own."""
        return self.ground if self.kind == "drawing" and self.shape[0] == 1 else ground_of_each(x)

    def reference(self, variance: float, images: int = 1) -> Reference:
        """r(x) of the inputs of a network that reads so many images at once."""
        if self.kind == "coloured drawing":
            return Reference(None, variance)
        return Reference(self.ground if len(self.ground) == 1 else self.ground.repeat(images, 1, 1), variance)

    def tensors(self) -> dict[str, Tensor]:
        """What a saved run must keep of this reading, by name."""
        scale = {"mean": self.scale.mean, "spread": self.scale.spread} if isinstance(self.scale, VectorScale) else {}
        return {"ground": self.ground} | scale


Readings = Mapping[str, Reading]  # by the network's name in the program


def find_readings(
    constraint: Constraint, inputs: Inputs, scale: Scale, device: torch.device, settings: View | None = None
) -> dict[str, Reading]:
    """How each network of a rule reads its inputs; networks whose inputs are taken from one pool share it.

    Args:
        constraint: the rule.
        inputs: the training inputs, which tell kind, ground and the scale of vectors.
        scale: of pictures.
        device: where the networks are.
        settings: of views.
    """
    of_pool: dict[int, Reading] = {}
    readings = {}
    for call in constraint.variables:
        pool = inputs.pools[call.inputs[0]]
        if id(pool) not in of_pool:
            of_pool[id(pool)] = _read(pool, scale, device, settings or USUAL)
        readings[call.network] = of_pool[id(pool)]
    return readings


def _read(pool: Tensor, scale: Scale, device: torch.device, settings: View) -> Reading:
    shape = tuple(pool.shape[1:])
    if len(shape) == 1:
        return Reading("vector", shape, VectorScale.of(pool.to(device)), torch.zeros(1, device=device), settings)
    kind = "drawing" if shape == GREY else kind_of(pool)
    ground = ground_of(scale.to_inputs(pool[:GROUND].to(device)))
    return Reading(kind, shape, scale, ground, settings)


def check_inputs(readings: Readings, constraint: Constraint, inputs: Inputs) -> None:
    """UserError if a network would read inputs that are unlike those it was trained on."""
    for call in constraint.variables:
        for image in call.inputs:
            shape, trained = tuple(inputs.pools[image].shape[1:]), readings[call.network].shape
            if shape != trained:
                raise UserError(
                    f"{image} is {describe_shape(shape)}, and {call.network} was trained on {describe_shape(trained)}; "
                    "give such inputs."
                )


def reading_state(readings: Readings) -> dict[str, Tensor]:
    """What a saved run keeps of its readings: by name alone where all networks share one, else by network and name."""
    first, *others = readings.values()
    if all(other is first for other in others):
        return first.tensors()
    return {f"inputs.{net}.{key}": x.clone() for net, one in readings.items() for key, x in one.tensors().items()}


def saved_readings(
    recipe: Recipe, networks: Sequence[str], state: dict[str, Tensor], device: torch.device
) -> dict[str, Reading]:
    """The readings of a saved run; what it kept of them is taken out of `state`.

    Raises:
        KeyError: the state lacks something.
    """
    readings = {}
    for name in networks:
        read = recipe.inputs.get(name, Read(shape=GREY, kind="drawing"))  # older runs knew no other
        kept = {key: state.get(f"inputs.{name}.{key}", state.get(key)) for key in ("ground", "mean", "spread")}
        at = {key: x.to(device) for key, x in kept.items() if x is not None}
        vector = read.kind == "vector"
        scale = VectorScale(at["mean"], at["spread"]) if vector else SCALES[recipe.scale]
        black = torch.full((1, 1, 1), scale.low, device=device)  # the ground of runs before there were references
        ground = at.get("ground", black)
        readings[name] = Reading(read.kind, read.shape, scale, ground, recipe.view)
    for key in list(state):
        if key in ("ground", "mean", "spread") or key.startswith("inputs."):
            del state[key]
    return readings
