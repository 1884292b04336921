"""What each of two processes does in `test_processes`; a module of its own, so that a new process can import it."""

import os
from pathlib import Path

import torch
from click.testing import CliRunner

from gedi_nesy.cli import main as cli
from gedi_nesy.core import processes
from gedi_nesy.data.points import load_points
from gedi_nesy.runs import session
from gedi_nesy.runs.callbacks import Interrupted
from gedi_nesy.runs.device import joined_processes
from gedi_nesy.vision import restarts, results
from gedi_nesy.vision.learner import Learner
from gedi_nesy.vision.recipe import load_recipe
from gedi_nesy.vision.train import resume, train
from tests.vision import pictures

PAPER = "paper-cifar10-gedi"
TINY = {
    "network.encoder": "resnet8-4",
    "network.projector": [8, 6],
    "train.batch": 8,
    "train.steps": 8,
    "sampler.chains": 4,
    "sampler.buffer": 8,
    "sampler.steps": 1,
    "guard.every": 3,
    "log_every": 4,
    "examples": 32,
}
# explodes at the first steps, and goes back
WILD = {"network.head": "linear", "train.learning_rate": 0.5, "guard.largest_gap": 20.0, "guard.slower": 0.05}
# all stages of our recipe, with a small share of the batch for each
PICTURES = pictures.TINY | {f"{stage}.{key}": 8 for stage in pictures.STAGES for key in ("batch", "steps")}
PICTURES |= {"features.ema": 0.0, "sampler.chains": 4, "sampler.buffer": 8, "sampler.reinit": 0.5, "examples": 32}
EVERY_TERM = {"train.weights": {"gen": 1.0, "inv": 5.0, "prior": 5.0, "swav": 1.0, "energy_l2": 0.1}}
NORMED = {"train.weights": {"barlow": 1.0}}


class Stopping(session.Saver):
    """Asks the second process alone to stop after step 5."""

    def __call__(self, training, losses, total):
        if training.step == 5 and processes.rank() == 1:
            self.stop.set()
        super().__call__(training, losses, total)


def main(rank: int, ports: list[int], data: Path, out: Path) -> None:
    """Compute gradients on the joined batch, then train a run as a whole, and once more with an interruption."""
    torch.set_num_threads(1)
    results.draw_pictures = lambda *arguments: None  # matplotlib takes longer than all the rest
    os.environ |= {"WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1"}
    with joined(ports[0]):
        torch.save([record(*case, data) for case in CASES], out / f"gradients{rank}.pt")
        torch.save(record_features(data), out / f"features{rank}.pt")
    train_twice(out / "calm", data, PAPER, TINY, ports[1:4])
    train_twice(out / "wild", data, PAPER, TINY | WILD, ports[4:7])
    restarts.STEPS, restarts.BATCH = 5, 20
    train_twice(out / "pictures", data, "gedi-pictures", PICTURES, ports[7:10])
    with_port(ports[10])
    (out / f"printed{rank}").write_text(CliRunner().invoke(cli, from_the_shell(data, out / "shell")).stdout)


def from_the_shell(data: Path, out: Path) -> list[str]:
    """The arguments of the command that trains the calm run."""
    settings = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    options = ["--dataset", "cifar10", "--data-dir", str(data), "--out", str(out), "--json"]
    return ["vision", "train", *options, *settings]


def train_twice(out: Path, data: Path, recipe: str, settings: dict, ports: list[int]) -> None:
    """A run as a whole, and once more with an interruption."""
    with_port(ports[0])
    run = train(recipe, out=out / "whole", data_dir=data, **settings)
    torch.save(run.networks.state_dict(), out / f"weights{os.environ['RANK']}.pt")
    saver, session.Saver = session.Saver, Stopping
    with_port(ports[1])
    try:
        train(recipe, out=out / "stopped", data_dir=data, **settings)
    except Interrupted:
        (out / f"interrupted{os.environ['RANK']}").touch()
    session.Saver = saver
    with_port(ports[2])
    resume(out / "stopped", data_dir=data)


CASES = [(PAPER, EVERY_TERM), ("paper-cifar10-barlow", NORMED)]


def joined(port: int):
    """The two processes joined."""
    with_port(port)
    return joined_processes("cpu")


def with_port(port: int) -> None:
    """Meet there next time."""
    os.environ["MASTER_PORT"] = str(port)


def first_losses(name: str, settings: dict, data: Path):
    """The losses of the first step, ready to be computed."""
    recipe = load_recipe(name, settings)
    points = load_points("cifar10", recipe.examples, 0, 0.0, data_dir=data)
    learner = Learner(recipe, [points.x_train], 10)
    return in_doubles(learner.losses(learner.phases[0], learner.begin(learner.phases[0], None)))


def in_doubles(losses):
    """The same in float64, so that only the right gradient is near enough: a batch norm amplifies rounding."""
    losses.training.model.double()
    for buffer in losses.training.buffers.values():
        buffer.samples = buffer.samples.double()
    if hasattr(losses, "log_prior"):
        losses.log_prior = losses.log_prior.double()
    return losses


def record(name: str, overrides: dict, data: Path) -> dict:
    """Of the first step: what was drawn, the losses, and the gradients."""
    losses, drawn = first_losses(name, TINY | overrides, data), {}
    advance, networks = losses.advance_chains, losses.networks

    class Recording:
        def draw(self, *arguments):
            rows, *parts = inputs.draw(*arguments)
            drawn["batch"] = tuple(part.double() for part in parts)
            return rows, *drawn["batch"]

    def record_chains():
        drawn["chains"] = advance()
        return drawn["chains"]

    inputs, losses.inputs, losses.advance_chains = losses.inputs, Recording(), record_chains
    values = losses(0)
    losses.objective(values, 0.0).backward()
    processes.average_gradients(networks)
    drawn["losses"] = {key: value.detach() for key, value in values.items()}
    drawn["gradients"] = {key: value.grad for key, value in networks.named_parameters() if value.grad is not None}
    return drawn


def record_features(data: Path) -> dict:
    """Of the first step on a fixed dictionary: the views, the losses, and the gradients."""
    losses = first_losses("gedi-pictures", PICTURES, data)
    views = losses.inputs.several(1, 4, 3, losses.training.generator).double()
    return {"views": views} | gradients_on(losses, views)


def gradients_on(losses, views) -> dict:
    """The losses and gradients on these views."""

    class Given:
        def several(self, *arguments):
            return views

    losses.inputs, networks = Given(), losses.training.model
    values = losses(0)
    losses.objective(values, 0.0).backward()
    processes.average_gradients(networks)
    found = {key: value.grad for key, value in networks.named_parameters() if value.grad is not None}
    return {"losses": {key: value.detach() for key, value in values.items()}, "gradients": found}
