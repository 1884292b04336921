"""Training on images in the time that gpu.py has left: features first, then clusters and density."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from bench_vision import FAST, begun
from gpu_job import Job
from torch import Tensor
from torchvision.utils import save_image

from gedi_nesy.core.fit import StepCallback, Training, fit, moving_average
from gedi_nesy.core.lars import LARS
from gedi_nesy.core.metrics import score
from gedi_nesy.core.modes import evaluating
from gedi_nesy.core.schedule import Schedule
from gedi_nesy.data.points import Points, load_points
from gedi_nesy.networks.resnet import ResNet8, resnet18
from gedi_nesy.vision.certificate import diagnose_networks
from gedi_nesy.vision.features import FeatureLosses, FeatureNetwork, features_of
from gedi_nesy.vision.learner import networks_of
from gedi_nesy.vision.losses import StepLosses, build_sgld
from gedi_nesy.vision.networks import in_parts
from gedi_nesy.vision.probe import knn_accuracy
from gedi_nesy.vision.recipe import Recipe, load_recipe
from gedi_nesy.vision.run import sample_inputs
from gedi_nesy.vision.views import ImageInputs

PUBLISHED = "paper-cifar10-gedi"
DENSITY = FAST | {"train.batch": 256, "sampler.chains": 256, "sampler.engine": "graph", "train.learning_rate": 2e-4}
TOY = {"network.encoder": "resnet8-4", "network.projector": [8, 4], "train.batch": 8, "sampler.steps": 2}
TOY |= {"sampler.chains": 8, "sampler.buffer": 16}
BATCH = 512  # of the features, eight crops of each image
# of learning the features: a warm-up, then a cosine in straight pieces
RATE = Schedule.of([[0.0, 0.0], [0.05, 0.6], [0.3, 0.5], [0.5, 0.33], [0.7, 0.14], [0.9, 0.017], [1.0, 0.0]])
EVERY = 30  # seconds between two looks


class OutOfTime(Exception):
    """The time for a training is over."""


@dataclass(frozen=True)
class Trial:
    """A training that is about to begin, and how its networks are judged.

    Attributes:
        rate: of learning.
        encode: features of images uint8 [n, C, H, W], [n, features], as the networks are then.
        figures: others of the test images and their labels.
    """

    training: Training
    losses: FeatureLosses | StepLosses
    rate: Schedule
    encode: Callable[[Tensor], Tensor]
    figures: Callable[[Tensor, Tensor], dict[str, float]] = lambda images, labels: {}


def train(job: Job) -> dict[str, Any]:
    """Features for half of the time that is left, then the published recipe; labels judge only."""
    points = pictures(job)
    job.note("train", {"data": repr(points)})
    planned_training(job, points, "features", 0.55, lambda steps: features(job, points))
    trial = planned_training(job, points, "clusters and density", 0.9, lambda steps: density(job, points, steps))
    save_samples(job, trial, recipe_of_density(job))
    return {}


def planned_training(job: Job, points: Points, name: str, share: float, build: Callable[[int], Trial]) -> Trial:
    """Time some steps, plan as many as fit into a share of the time that is left, train and judge."""
    end, steps, about = time.monotonic() + share * job.left, 4, dict[str, Any]()
    if not job.dry:
        about["steps a second"] = steps_a_second(build(1000))
        steps = max(10, int(0.85 * about["steps a second"] * (end - time.monotonic())))
    job.note("train", {name: about | {"steps": steps, "looks": []}})
    trial = build(steps)
    look = Look(job, points, trial, name, end)
    with suppress(OutOfTime):
        run(trial, steps, look)
    look.judge()
    return trial


def run(trial: Trial, steps: int, *callbacks: StepCallback) -> None:
    """Train up to that step."""
    fit(
        trial.training, trial.losses.objective, trial.losses, steps=steps, learning_rate=trial.rate, callbacks=callbacks
    )


def steps_a_second(trial: Trial) -> float:
    """After some to warm up."""
    run(trial, 8)
    torch.cuda.synchronize()
    start = time.perf_counter()
    run(trial, 24)
    torch.cuda.synchronize()
    return 16 / (time.perf_counter() - start)


def features(job: Job, points: Points) -> Trial:
    """L_INV among crops and L_PRIOR on a fixed dictionary: ResNet-18, LARS, a moving average."""
    torch.manual_seed(0)
    channels = points.x_train.shape[1]
    if job.dry:
        model = FeatureNetwork(ResNet8(4, channels), 4, dim=8, atoms=16)
    else:
        model = FeatureNetwork(resnet18(channels), 512, bf16=True)
        model.encoder.to(memory_format=torch.channels_last)
    model.to(job.device)
    optimizer = LARS(model.parameters(), RATE(0.0), weight_decay=1e-4, eta=5e-3)
    generator = torch.Generator(job.device).manual_seed(0)
    training = Training(model, optimizer, generator, moving_average(model, 0.996))
    losses = FeatureLosses(points.x_train.to(job.device), training, 8 if job.dry else BATCH)

    def encode(images: Tensor) -> Tensor:
        network = training.result
        assert isinstance(network, FeatureNetwork)
        with evaluating(network):
            return features_of(network, images)

    return Trial(training, losses, RATE, encode)


def density(job: Job, points: Points, steps: int) -> Trial:
    """The published recipe in larger batches."""
    stand = begun(recipe_of_density(job, {"train.steps": steps}), points.x_train)
    losses = stand.losses
    assert isinstance(losses, StepLosses)
    inputs = losses.inputs
    assert isinstance(inputs, ImageInputs)
    scale, device = inputs.scales[0], inputs.x.device

    def encode(images: Tensor) -> Tensor:
        networks = networks_of(stand.training)
        with evaluating(networks):
            return in_parts(lambda part: networks.encode(scale.to_inputs(part.to(device))), images[None], 500)[0]

    def figures(images: Tensor, labels: Tensor) -> dict[str, float]:
        networks = networks_of(stand.training)
        with evaluating(networks):
            clusters = networks.classify(networks.project(encode(images)[None]))[0].argmax(-1)
        found = score(clusters, labels, int(labels.max()) + 1)
        gap = diagnose_networks(networks, inputs)[0].certificate
        return {"nmi": found.nmi, "cluster accuracy": found.cluster_accuracy, "D": gap}

    return Trial(stand.training, losses, stand.phase.stage.learning_rate, encode, figures)


def recipe_of_density(job: Job, settings: Mapping[str, Any] | None = None) -> Recipe:
    """At toy size where it is a rehearsal."""
    sizes = TOY if job.dry else DENSITY
    return load_recipe(PUBLISHED, sizes | {"device": str(job.device)} | dict(settings or {}))


class Look:
    """Judges the networks every so many seconds, and ends the training when its time is over."""

    def __init__(self, job: Job, points: Points, trial: Trial, name: str, end: float) -> None:
        self.job, self.points, self.trial, self.name, self.end = job, points, trial, name, end
        self.began = self.clock = time.monotonic()

    def __call__(self, training: Training, losses: Mapping[str, Tensor], total: Tensor) -> None:
        """After a step."""
        now = time.monotonic()
        if now > self.end and not self.job.dry:
            raise OutOfTime
        if now - self.clock > EVERY:
            self.judge(10_000, 2_000, {key: loss.mean().item() for key, loss in losses.items()})
            self.clock = time.monotonic()

    @torch.no_grad()
    def judge(
        self, train: int | None = None, test: int | None = None, losses: Mapping[str, float] | None = None
    ) -> None:
        """On so many of the images, by default on all."""
        points, trial = self.points, self.trial
        assert points.y_train is not None
        assert points.y_test is not None
        y_train, y_test = (y.to(self.job.device) for y in (points.y_train[:train], points.y_test[:test]))
        known, new = (trial.encode(x) for x in (points.x_train[:train], points.x_test[:test]))
        figures = {"knn": knn_accuracy(known, y_train, new, y_test)} | trial.figures(points.x_test[:test], y_test)
        about = {"step": trial.training.step, "seconds": round(time.monotonic() - self.began, 1)}
        row = about | figures | ({"losses": losses} if losses else {})
        self.job.report["steps"]["train"][self.name]["looks"].append(row)
        self.job.note("train", {})


def save_samples(job: Job, trial: Trial, recipe: Recipe) -> None:
    """64 samples of the energy model as a picture."""
    networks = networks_of(trial.training)
    assert isinstance(trial.losses, StepLosses)
    inputs = trial.losses.inputs
    assert isinstance(inputs, ImageInputs)
    assert recipe.sampler is not None
    box = inputs.box(recipe.sampler.margin)
    sgld = replace(build_sgld(recipe.sampler, box, inputs.ground()), steps=8 if job.dry else 500)
    with evaluating(networks):
        drawn = sample_inputs(networks, sgld, inputs.shape, box, 64, 0)
    save_image(inputs.scales[0].to_points(drawn).clamp(0, 255) / 255, job.out / "samples.png")


def pictures(job: Job) -> Points:
    """CIFAR-10, as much of it as is here, otherwise MNIST."""
    if job.dry:
        generator = torch.Generator().manual_seed(0)
        x, y = torch.randint(256, (96, 3, 16, 16), dtype=torch.uint8, generator=generator), torch.arange(96) % 10
        return Points("noise", x[:64], x[64:], y[:64], y[64:])
    place = Path(os.environ.get("GEDI_NESY_DATA", "."))
    whole = place / "cifar10.npz"
    if not whole.is_file() and (place / "cifar10-test.npz").is_file():
        whole = Path(tempfile.gettempdir()) / "gedi-nesy-cifar10.npz"
        subprocess.run([sys.executable, str(place / "unpack.py"), "cifar10", str(whole)], check=True)
    return load_points(str(whole) if whole.is_file() else "mnist", None, 0, 0.0)
