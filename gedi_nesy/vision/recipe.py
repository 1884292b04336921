"""Recipes of the vision track: every setting of a run as data."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PlainValidator,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from gedi_nesy.core.terms import like, terms_with
from gedi_nesy.data.load import holds_drawings, holds_images
from gedi_nesy.data.points import load_points
from gedi_nesy.errors import UserError
from gedi_nesy.methods import PUBLISHED, WITHOUT_RULE, check_method
from gedi_nesy.runs import recipe
from gedi_nesy.runs.recipe import Probability
from gedi_nesy.runs.rollback import Guard
from gedi_nesy.runs.settings import Settings, load_settings, names_in
from gedi_nesy.runs.track import track_of
from gedi_nesy.runs.weights import TermWeights, with_terms

RECIPES = Path(__file__).parent.parent / "recipes" / "vision"
TRACKS = ("points", "images")
IMAGES = ("cifar10", "cifar100", "svhn")  # whose rows of the paper are recipes of their own
CHARACTERS = ("mnist", "digits", "mnist+operators", "digits+operators")
DRAWINGS, THINGS = "gedi-drawings", "gedi-things"  # ours for gedi, on grey images of 28 x 28


@with_terms(rule=False)
class Weights(TermWeights):
    """The weight of each term of the objective: a number, or [progress, value] points with lines between them."""


def _read_encoder(value: Any) -> tuple[int, ...] | str:
    if isinstance(value, list | tuple) and value and all(type(width) is int and width > 0 for width in value):
        return tuple(value)
    if isinstance(value, str) and re.fullmatch(
        r"resnet8-[1-9]\d*(-spectral)?|resnet18|resnet18-groupnorm|mnist_net|strided", value
    ):
        return value
    raise ValueError(
        "give a list of widths for points; resnet8-F, resnet8-F-spectral, resnet18, resnet18-groupnorm, mnist_net or "
        "strided for images"
    )


class Network(Settings):
    """Encoder, projector and cluster head.

    For points the encoder is a perceptron, given by its widths after the input. For images it is "resnet8-F", the
    paper's with F features, "resnet8-F-spectral" with spectral norm besides, or torchvision's ResNet-18 with a stem for
    small images, "resnet18" with its batch norm or "resnet18-groupnorm" with groups of 8 channels instead; for 28 x 28
    images it can be "mnist_net", DeepProbLog's, or "strided", which is smoother, both without their last layer. The
    projector is a perceptron, given by its widths; it can scale its outputs to length 1, and for images have batch norm
    after every layer. Perceptrons have ReLU inside.
    """

    encoder: Annotated[tuple[int, ...] | str, PlainValidator(_read_encoder)]
    projector: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    batch_norm: bool = False
    l2_norm: bool = False
    head: Literal["cosine", "linear"] = "cosine"
    temperature: PositiveFloat = 0.1

    @property
    def has_batch_norm(self) -> bool:
        """Whether the examples of a batch influence each other in training."""
        return self.batch_norm or self.encoder == "resnet18"


class FeatureNetwork(Network):
    """The network of a stage that learns features: its projector has batch norm, its head is a fixed dictionary.

    Attributes:
        atoms: of the dictionary.
    """

    atoms: PositiveInt


class View(Settings):
    """T(x'|x): a walk of so many steps on the graph of nearest neighbours, then Gaussian noise; 0 leaves one out.

    x itself, which L_GEN takes for data, can have noise too, `anchor_noise`, for a smoother density. Images are changed
    as `Augment` says, x by its `anchor`. Walks of images begin with the second stage, on the graph of neighbours by the
    features of the stage before, or with the first, on a `graph` of neighbours by "shape", which is for drawings.
    Drawings are warped too, `warp` times as far as `views.drawings.Warp` does. Shapes are compared `upright` and at one
    size, as writing is alike; things, such as clothes, that differ in these are not. Clusters of these walks are found
    by L_INV and `prior` times L_PRIOR. Of 16 restarts on MNIST 3 were right with a weight of 1, 8 with 2 and 15 with 4.
    """

    retired: ClassVar[Mapping[str, float]] = {"shared": 0.5}

    noise: NonNegativeFloat
    anchor_noise: NonNegativeFloat = 0.0
    warp: NonNegativeFloat = 0.0
    walk: NonNegativeInt = 0
    neighbours: PositiveInt = 20
    graph: Literal["features", "shape"] = "features"
    upright: bool = True
    prior: PositiveFloat = 4.0


class Augment(Settings):
    """The random changes of an image, in this order; the noise of `View` comes last.

    Attributes:
        crop: least and greatest share of the image's area that a random crop keeps, scaled back to the whole; its
            sides are as 3:4 to 4:3. [1, 1] leaves it out.
        flip: probability of a horizontal flip.
        jitter: probability of new brightness, contrast, saturation and hue, by what `views.pictures.JITTER` says.
        grey: probability of losing the colour.
        anchor: what x' is the view of, and L_GEN takes for data: "clean" the image itself, "noise" with the noise only,
            "view" another view, as SwAV and Barlow Twins have it.
    """

    retired: ClassVar[Mapping[str, float]] = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}

    crop: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)
    flip: Probability = 0.0
    jitter: Probability = 0.0
    grey: Probability = 0.0
    anchor: Literal["clean", "noise", "view"] = "clean"

    @model_validator(mode="after")
    def _crop_fits(self) -> "Augment":
        if not self.crop[0] <= self.crop[1] <= 1:
            raise ValueError(f"augment.crop is [least, greatest] share of the area, 1 at most, not {list(self.crop)}")
        return self


class Sampler(recipe.Sampler):
    """SGLD: x += step_size * d log p(x)/dx + noise * N(0, 1), from a replay buffer.

    Chains start uniformly in a box: the range of the training points, and `margin` of its width more on each side.
    `clamp` keeps them there; with `jump` each step begins with a proposal from anywhere in the box. `augment` is the
    share of chains of images that are changed as `Augment` says before they go on (CLEL, Lee et al. 2023). In training
    on a GPU, `engine` "graph" records the steps as one CUDA graph (`core.chain.graph`). With `as_bytes` clamped chains
    are rounded to bytes while they lie in the buffer, whose checkpoints are a fourth as large then.
    """

    retired: ClassVar[Mapping[str, int]] = {"every": 1}

    jump: bool = False
    margin: NonNegativeFloat = 0.25
    augment: Probability = 0.0
    as_bytes: bool = False
    engine: Literal["torch", "graph"] = "torch"

    @model_validator(mode="after")
    def _bytes_fit(self) -> "Sampler":
        if self.as_bytes and not self.clamp:
            raise ValueError("sampler.as_bytes needs sampler.clamp = true, which keeps chains in the range of bytes")
        return self


class ChainGuard(Guard):
    """A guard that also checks the chains.

    Attributes:
        largest_sample: absolute value of an input that a chain may reach.
    """

    largest_sample: PositiveFloat = 1e6


class Speed(Settings):
    """How a network on images computes: options that are faster on a GPU, at the price of rounding.

    Attributes:
        bf16: the encoder in bfloat16 where torch's autocast sees fit; weights, losses and chains stay float32.
        channels_last: the encoder's memory format.
        compile: the mode of torch.compile in training, "reduce-overhead" with CUDA graphs; "none" leaves it out.
            Its "max-autotune" is no choice: it may pick other kernels in each process, and a resumed run would differ.
    """

    bf16: bool = False
    channels_last: bool = False
    compile: Literal["none", "default", "reduce-overhead"] = "none"


class Stage(recipe.Stage):
    """One training stage."""

    retired: ClassVar[Mapping[str, float]] = {"l2": 0.0}

    steps: PositiveInt
    weights: Weights

    @property
    def labels_itself(self) -> bool:
        """Whether views learn the labels of their own images; then they do not walk."""
        return not self.weights.certain.is_zero

    @model_validator(mode="after")
    def _trains_something(self) -> "Stage":
        names = [name for name, term in terms_with(rule=False).items() if term.guides]
        if not set(names) & set(self.weights.always()):
            raise ValueError(f"one of the weights {', '.join(names)} must be above 0 throughout")
        return self


class Features(Stage):
    """A first stage of images, which learns features by L_INV among several views and L_PRIOR on a fixed dictionary.

    The encoder is the run's, and all that later stages keep. The prior has the form of a negative entropy: a batch has
    fewer views than a cross-entropy of all atoms would need. The optimiser is LARS.

    Attributes:
        views: of each image.
        projector: the widths of its layers, all with batch norm.
        atoms: of the dictionary.
    """

    views: PositiveInt = 4
    projector: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    atoms: PositiveInt

    @model_validator(mode="after")
    def _has_its_terms(self) -> "Features":
        for name, weight in self.weights:
            if name not in ("inv", "prior") and not weight.is_zero:
                raise ValueError(f"[features] has weights of inv and prior alone, none of {name}")
        return self


class Student(Stage):
    """A last stage with a fresh network, which learns from what the networks before it predict.

    Attributes:
        network: the student's own.
        views: of each image, over which the teacher's predictions are averaged.
    """

    network: Network
    views: PositiveInt = 8


class Recipe(recipe.RunRecipe):
    """A complete description of a run: `restarts` networks through `pretrain` and `train`, the best one `refine`d.

    A `student` of images learns from it at last: L_GEN from the first step on gives better energies than L_GEN on a
    network that knows the clusters already.

    Where images walk, one network goes through all, and the restarts are of its projector and head before `train`;
    `features` takes the place of `pretrain` there. By shape, the restarts cluster the graph before the first stage, and
    the network learns these clusters as a student's teacher.
    """

    retired: ClassVar[Mapping[str, float]] = {"data_scale": 1.0}

    track: Literal["points", "images"]
    dataset: str = "moons"
    examples: PositiveInt | None = None  # where it is left out, 1000 of a toy and all there are of the rest
    data_noise: NonNegativeFloat = 0.05  # of a toy, before it is scaled
    clusters: PositiveInt | None = None  # as many as there are labels, where it is left out
    scale: Literal["none", "standard", "symmetric"] = "standard"  # symmetric: pixels from -1 to 1
    seeds: PositiveInt = 1  # trained side by side: seed, seed + 1, ..., each with points and networks of its own
    network: Network
    view: View
    augment: Augment | None = None
    sampler: Sampler | None = None
    guard: ChainGuard = ChainGuard()
    speed: Speed = Speed()
    features: Features | None = None
    pretrain: Stage | None = None
    train: Stage
    refine: Stage | None = None
    student: Student | None = None

    @model_validator(mode="before")
    @classmethod
    def _find_track(cls, values: Any) -> Any:
        return {**values, "track": track_of(values)} if isinstance(values, dict) else values

    @property
    def stages(self) -> dict[str, Stage]:
        """The stages in their order."""
        names = ("features", "pretrain", "train", "refine", "student")
        return {name: stage for name in names if (stage := getattr(self, name))}

    @property
    def clusters_features(self) -> bool:
        """Whether images walk by features; then restarts are of projector and head alone, on those of one network."""
        return self.track == "images" and self.view.walk > 0 and not self.clusters_shapes

    @property
    def clusters_shapes(self) -> bool:
        """Whether images walk by shape; then restarts are of the clusters of this graph."""
        return self.view.graph == "shape"

    @property
    def has_energy_model(self) -> bool:
        """Whether the final networks are trained with L_GEN, so that their energies and samples mean something."""
        return not self.last.weights.gen.is_zero

    @property
    def last(self) -> Stage:
        """The stage whose network is the run's."""
        return self.student or self.refine or self.train

    def network_of(self, stage: Stage) -> Network:
        """What a stage trains: the student a network of its own, the stage of features its own projector and head."""
        if isinstance(stage, Features):
            own = {"projector": stage.projector, "batch_norm": True, "l2_norm": False, "atoms": stage.atoms}
            return FeatureNetwork(**dict(self.network) | own)
        return stage.network if isinstance(stage, Student) else self.network

    @model_validator(mode="after")
    def _parts_fit(self) -> "Recipe":
        self._check_images() if self.track == "images" else self._check_points()
        for stage in self.stages.values():
            network = self.network_of(stage)
            if network.has_batch_norm and not stage.weights.gen.is_zero:
                raise ValueError("weights.gen needs a network without batch norm, which ties the energies of a batch")
            if self.sampler is None and not stage.weights.gen.is_zero:
                raise ValueError("weights.gen needs a [sampler]")
            for name in stage.weights.used("gen"):
                if stage.weights.gen.is_zero:
                    raise ValueError(f"weights.{name} goes with weights.gen, which is 0")
            for name in stage.weights.used("prototypes"):
                if network.head != "cosine":
                    raise ValueError(f'weights.{name} needs network.head = "cosine", whose prototypes it learns')
            for name in stage.weights.used("whitening"):
                if stage.batch <= network.projector[-1]:
                    raise ValueError(f"weights.{name} needs a batch of more images than the projector has outputs")
            if stage is not self.student and stage.weights.used("teacher") and not self.clusters_shapes:
                raise ValueError(
                    "weights.teacher is for the [student], whose teacher is the network before it, or for "
                    'view.graph = "shape"'
                )
        self._check_clusters()
        return self

    def _check_clusters(self) -> None:
        """K-means after [train] must not replace what another term has taught the head."""
        weights = self.train.weights
        others = [name for name in ("gen", "inv", "prior") if not getattr(weights, name).is_zero]
        for name in weights.used("embeddings"):
            for other in (*others, *weights.used("prototypes")):
                raise ValueError(
                    f"train.weights.{name} has clusters by k-means, which undo what train.weights.{other} teaches; "
                    "drop one of them" + ", or put gen into [refine]" * (other == "gen")
                )

    @model_validator(mode="after")
    def _graph_fits(self) -> "Recipe":
        if self.sampler and self.sampler.engine == "graph":
            if not self.device.startswith("cuda"):
                raise ValueError(f'sampler.engine = "graph" is for a GPU, not for device = "{self.device}"')
            if self.speed.compile == "reduce-overhead":
                raise ValueError('sampler.engine = "graph" and speed.compile = "reduce-overhead" do the same; drop one')
        return self

    def _check_images(self) -> None:
        if not isinstance(self.network.encoder, str):
            raise ValueError(f"images need a network.encoder for images, as resnet8-128, not {self.network.encoder}")
        if self.augment is None or self.view.anchor_noise:
            raise ValueError("images need an [augment], and view.anchor_noise = 0, which is for points")
        if self.clusters_shapes and not self.view.walk:
            raise ValueError('view.graph = "shape" is what walks go by; set view.walk')
        if self.clusters_features and self.pretrain is None and self.features is None:
            raise ValueError("view.walk of images goes by the features of a stage before; add a [pretrain]")
        if self.features and (self.pretrain or not self.clusters_features):
            raise ValueError(
                "[features] takes the place of [pretrain] where images walk by features; set view.walk, no [pretrain]"
            )
        if self.clusters_features and self.network.batch_norm:
            raise ValueError("view.walk of images needs a projector without batch norm, as restarts are of it alone")
        if self.scale == "none":
            raise ValueError('images need scale = "symmetric" or "standard"')

    def _check_points(self) -> None:
        if isinstance(self.network.encoder, str):
            raise ValueError(f'network.encoder = "{self.network.encoder}" is for images, which need an [augment] too')
        if self.augment is not None or self.scale == "symmetric" or self.speed != Speed():
            raise ValueError('[augment], [speed] and scale = "symmetric" are for images; network.encoder is for points')
        if self.view.warp or self.clusters_shapes:
            raise ValueError('view.warp and view.graph = "shape" are for images; network.encoder is for points')
        if self.sampler and (self.sampler.reference or self.sampler.warp or self.sampler.augment):
            raise ValueError(
                "sampler.reference and sampler.warp are for images, and sampler.augment; network.encoder is for points"
            )
        if self.network.batch_norm:
            raise ValueError("network.batch_norm is for images; network.encoder is for points")
        for name in ("student", "features"):
            if getattr(self, name):
                raise ValueError(f"[{name}] is for images; network.encoder is for points")


def recipe_names() -> list[str]:
    """The names of the recipes that come with the package."""
    return names_in(RECIPES)


def load_recipe(name: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe by its name, or from a TOML file, and change some of its settings.

    Args:
        name: one of `recipe_names()`, or the path of a .toml file (a run's config.toml is one).
        overrides: settings by dotted name, for example {"seed": 3, "train.weights.prior": 40}.

    Raises:
        UserError: for an unknown recipe or key, or a value that a setting can't take.
    """
    return load_settings(Recipe, name, RECIPES, overrides or {}, "gedi-nesy vision recipes")


def recipe_for(method: str, published: bool = False, dataset: str | None = None) -> str:
    """The recipe that trains a method on a data set: ours, or the paper's.

    For images there is only the paper's, but for gedi on grey images of 28 x 28. Methods of Section 2's family that the
    paper does not train are laid on top of its SwAV or its Barlow Twins. Images that the paper does not have get its
    settings for CIFAR-10, and characters, which mean something else when they are flipped, its settings for SVHN.

    Raises:
        UserError: if there is no such method, or no such data set, or none of the paper's.
    """
    check_method(method, WITHOUT_RULE)
    if published and method not in PUBLISHED:
        raise UserError(f"The paper does not train {method}; leave out --published, or take {', '.join(PUBLISHED)}.")
    if dataset and not holds_images(dataset):
        load_points(dataset, None, 0, 0.0)  # so that an error of the data set comes before an error of the recipe
    elif dataset:
        if method == "gedi" and holds_drawings(dataset) and not published:
            return THINGS if dataset == "fashion-mnist" else DRAWINGS
        known = dataset if dataset in IMAGES else "svhn" if dataset in CHARACTERS else "cifar10"
        if method in PUBLISHED:
            return f"paper-{known}-{method}"
        return f"paper-{known}-{like(method.removesuffix('+gen'))},images/{method}"
    return f"paper-{method}" if published else method
