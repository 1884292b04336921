"""Our recipe for pictures in the time that gpu.py has left: as many steps of each stage as it allows."""

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from bench_vision import PLAIN, begun, measure_need, take_steps
from gpu_job import Job
from torch import Tensor
from torchvision.utils import save_image

from gedi_nesy.core.fit import Training
from gedi_nesy.core.metrics import score
from gedi_nesy.core.modes import evaluating
from gedi_nesy.data.points import Points, load_points
from gedi_nesy.runs.phases import Callback, PhaseOver, PhaseState, train_phases
from gedi_nesy.runs.rollback import Rollback
from gedi_nesy.vision.certificate import diagnose_networks
from gedi_nesy.vision.learner import Learner, networks_of
from gedi_nesy.vision.losses import build_sgld
from gedi_nesy.vision.networks import AnyNetworks, in_parts
from gedi_nesy.vision.probe import knn_accuracy, linear_probe, standardised
from gedi_nesy.vision.recipe import Recipe, load_recipe
from gedi_nesy.vision.run import sample_inputs
from gedi_nesy.vision.views import ImageInputs

RECIPE = "gedi-pictures"
TOY = PLAIN | {"device": "cpu", "network.encoder": "resnet8-4", "network.projector": [8, 4], "restarts": 2}
TOY |= {"features.projector": [8, 8], "features.atoms": 16, "view.neighbours": 5, "sampler.steps": 2}
TOY |= {"sampler.chains": 8, "sampler.buffer": 16, "student.network.encoder": "resnet8-4-spectral", "student.views": 2}
TOY |= {f"{stage}.{key}": 8 for stage in ("features", "train", "refine", "student") for key in ("batch", "steps")}
# of the time; the rest is for what lies between the stages, and for the last look
SHARES = {"features": 0.45, "train": 0.04, "refine": 0.1, "student": 0.3}
LAST = 0.07
EVERY = 30  # seconds between two looks
SLACK = 0.85  # of the steps that fit by their measured time


def train(job: Job) -> dict[str, Any]:
    """All stages, each for its share of the time that is left; labels judge only."""
    points = pictures(job)
    job.note("train", {"data": repr(points)})
    recipe = planned(job, points)
    learner = Learner(recipe, [points.x_train], 10)
    training = train_phases(learner, Rollback(recipe.guard), [Look(job, points, learner)])
    _, (choice,) = learner.result(training)
    job.note("train", {"D of the restarts": choice.certificates})
    save_samples(job, learner, training)
    return {}


def recipe_of(job: Job, settings: Mapping[str, Any] | None = None) -> Recipe:
    """At toy size where it is a rehearsal."""
    return load_recipe(RECIPE, (TOY if job.dry else {"device": str(job.device)}) | dict(settings or {}))


def planned(job: Job, points: Points) -> Recipe:
    """The recipe with as many steps as fit into each stage's share of the time."""
    recipe = recipe_of(job)
    rates = {stage: steps_a_second(job, recipe, points, stage) for stage in recipe.stages}
    left = job.left
    return (
        recipe
        if job.dry
        else recipe_of(
            job, {f"{stage}.steps": max(10, int(SLACK * rate * SHARES[stage] * left)) for stage, rate in rates.items()}
        )
    )


def steps_a_second(job: Job, recipe: Recipe, points: Points, stage: str) -> float:
    """After some to warm up; noted beside the share of the card's peak that it is."""
    stand = begun(recipe, points.x_train, stage=stage)
    warm_up, counted = (1, 2) if job.dry else (6, 12)
    take_steps(stand, warm_up)
    wait_for(job.device)
    start = time.perf_counter()
    take_steps(stand, counted)
    wait_for(job.device)
    rate = counted / (time.perf_counter() - start)
    alone = {"device": str(job.device), "sampler.engine": "torch", "examples": 1000}
    flop = measure_need(RECIPE, TOY if job.dry else alone, stage)["flop"]
    peaks = job.report["steps"].get("card", {}).get("limits", {}).get("peaks", {})
    share = {"share of peak": flop * rate / peaks["bfloat16"]} if peaks else {}
    job.note("train", {stage: {"steps a second": rate} | share})
    return rate


def wait_for(device: torch.device) -> None:
    """Until a GPU has done what was launched."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Look(Callback):
    """Judges the networks every so many seconds and at a stage's end, which comes when its time is over."""

    def __init__(self, job: Job, points: Points, learner: Learner) -> None:
        self.job, self.points, self.learner = job, points, learner
        self.began = self.clock = time.monotonic()
        self.last = self.began + (1 - LAST) * job.left  # when the last stage has to end
        self.ends: dict[str, float] = {}

    def on_start(self, state: PhaseState) -> None:
        """A stage begins, or goes on from an earlier state."""
        self.phase = state.phase
        now, later = time.monotonic(), list(SHARES)[list(SHARES).index(self.phase.name) :]
        share = SHARES[self.phase.name] / sum(SHARES[name] for name in later)
        self.ends.setdefault(self.phase.name, math.inf if self.job.dry else now + share * (self.last - now))
        self.figures = self.job.report["steps"]["train"].setdefault(self.phase.name, {})
        self.figures |= {"steps": self.phase.steps, "looks": self.figures.get("looks", [])}

    def __call__(self, training: Training, losses: Mapping[str, Tensor], total: Tensor) -> None:
        """After a step."""
        now = time.monotonic()
        over = now > self.ends[self.phase.name]
        if over or training.step == self.phase.steps:
            self.judge(training, losses)
        elif now - self.clock > EVERY:
            self.judge(training, losses, 10_000, 2_000)
        if over:
            raise PhaseOver

    @torch.no_grad()
    def judge(
        self, training: Training, losses: Mapping[str, Tensor], train: int | None = None, test: int | None = None
    ) -> None:
        """On so many of the images, by default on all, then with a linear probe after the features, too."""
        points, networks = self.points, networks_of(training)
        assert points.y_train is not None
        assert points.y_test is not None
        y_train, y_test = (y.to(self.job.device) for y in (points.y_train[:train], points.y_test[:test]))
        with evaluating(networks):
            known, new = (self.encode(networks, x) for x in (points.x_train[:train], points.x_test[:test]))
            figures = {"knn": knn_accuracy(known, y_train, new, y_test)}
            if self.phase.name != "features":
                figures |= self.clusters(networks, new, y_test)
        if self.phase.name == "features" and train is None:
            with torch.enable_grad():
                known, new = standardised(known, new)
                figures["linear probe"] = linear_probe(known, y_train, new, y_test)
        about = {"step": training.step, "seconds": round(time.monotonic() - self.began, 1)}
        means = {key: loss.mean().item() for key, loss in losses.items()}
        self.figures["looks"].append(about | figures | {"losses": means})
        self.job.note("train", {})
        self.clock = time.monotonic()

    def encode(self, networks: AnyNetworks, images: Tensor) -> Tensor:
        """Features of images uint8 [n, C, H, W], [n, features]."""
        scale, device = self.learner.scales[0], self.job.device
        return in_parts(lambda part: networks.encode(scale.to_inputs(part.to(device))), images[None], 500)[0]

    def clusters(self, networks: AnyNetworks, features: Tensor, labels: Tensor) -> dict[str, float]:
        """How clusters agree with labels, and D."""
        found = score(networks.classify(networks.project(features[None]))[0].argmax(-1), labels, 10)
        gap = diagnose_networks(networks, self.learner.inputs)[0].certificate
        return {"nmi": found.nmi, "cluster accuracy": found.cluster_accuracy, "D": gap}


def save_samples(job: Job, learner: Learner, training: Training) -> None:
    """64 samples of the energy model as a picture."""
    networks, inputs, settings = networks_of(training), learner.inputs, learner.recipe.sampler
    assert isinstance(inputs, ImageInputs)
    assert settings is not None
    sgld = replace(build_sgld(settings, learner.box, inputs.ground()), steps=8 if job.dry else 500)
    with evaluating(networks):
        drawn = sample_inputs(networks, sgld, inputs.shape, learner.box, 64, 0)
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
