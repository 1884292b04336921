"""What each of two processes does in `test_processes`; a module of its own, so that a new process can import it."""

import os
from pathlib import Path

import torch

from gedi_nesy.core import processes
from gedi_nesy.core.chains import Chains
from gedi_nesy.data import load_images
from gedi_nesy.logic import Constraint
from gedi_nesy.nesy import learner, results
from gedi_nesy.nesy.examples import draw_examples
from gedi_nesy.nesy.learner import Learner
from gedi_nesy.nesy.recipe import load_recipe
from gedi_nesy.nesy.train import resume, train
from gedi_nesy.runs import session
from gedi_nesy.runs.callbacks import Interrupted
from gedi_nesy.runs.device import joined_processes

TINY = {
    "dataset": "digits",
    "examples": 15,
    "views": 1,
    "matching.chains": 8,
    "matching.sweeps": 3,
    "sampler.steps": 2,
    "sampler.chains": 8,
    "sampler.buffer": 16,
    "sampler.distorted": 4,
    "guard.every": 3,
    "log_every": 4,
    "train.steps": 4,
    "train.batch": 4,
    "student.steps": 8,
    "student.batch": 4,
}
SMALL = {
    "dataset": "digits",
    "examples": 30,
    "restarts": 1,
    "cycles": 1,
    "student": None,
    "sampler.engine": "torch",
    "sampler.steps": 1,
    "sampler.chains": 4,
    "sampler.buffer": 8,
    "train.batch": 7,  # which two processes can't halve
    "train.warp": 0.0,
    "train.noise": 0.0,
}
EVERY_TERM = {
    "head": "cosine",
    "train.weights": {"gen": 1.0, "nesy": 5.0, "prior": 5.0, "inv": 2.0, "swav": 1.0, "energy_l2": 0.1},
}
NORMED = {"train.weights": {"nesy": 1.0, "barlow": 1.0}}
CASES = [SMALL | EVERY_TERM, SMALL | NORMED]


class Stopping(session.Saver):
    """Asks the second process alone to stop after the student's step 5."""

    def __call__(self, training, losses, total):
        if (self.state.phase.name, training.step) == ("student", 5) and processes.rank() == 1:
            self.stop.set()
        super().__call__(training, losses, total)


class Wild(Chains):
    """Chains that once, in the second process alone, leave the finite numbers."""

    calls = 0

    def advance(self):
        Wild.calls += 1
        indices, samples = super().advance()
        return indices, samples * torch.nan if Wild.calls == 6 and processes.rank() == 1 else samples


def main(rank: int, ports: list[int], out: Path) -> None:
    """Compute gradients on the joined batch, then train a run as a whole, with an interruption, and with a return."""
    torch.set_num_threads(1)
    results.draw_pictures = lambda *arguments: None  # matplotlib takes longer than all the rest
    os.environ |= {"WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1"}
    meet(ports[0])
    with joined_processes("cpu"):
        torch.save([record(case) for case in CASES], out / f"gradients{rank}.pt")
    run = train_tiny(out / "whole", ports[1])
    torch.save(run.networks.state_dict(), out / f"weights{rank}.pt")
    saver, session.Saver = session.Saver, Stopping
    try:
        train_tiny(out / "stopped", ports[2])
    except Interrupted:
        (out / f"interrupted{rank}").touch()
    session.Saver = saver
    meet(ports[3])
    resume(out / "stopped", progress=False)
    learner.Chains = Wild
    train_tiny(out / "wild", ports[4])


def train_tiny(out: Path, port: int):
    """A run that takes seconds."""
    meet(port)
    return train("gedi-nesy-few", out=out, progress=False, **TINY)


def meet(port: int) -> None:
    """Meet the other process there next time."""
    os.environ["MASTER_PORT"] = str(port)


def first_losses(settings: dict):
    """The losses of the first step, ready to be computed in float64, so that only the right gradient is near enough."""
    recipe, constraint = load_recipe("gedi-nesy-restarts", settings), Constraint.from_file("addition")
    images = load_images("digits")
    generator = torch.Generator().manual_seed(0)
    data = (images.x_train, images.y_train, images.classes)
    examples = draw_examples(constraint, *data, recipe.examples, generator)
    ours = Learner(recipe, constraint, examples, print)
    losses = ours.losses(ours.phases[0], ours.begin(ours.phases[0], None))
    losses.training.model.double()
    losses.loader.inputs = {name: x.double() for name, x in losses.loader.inputs.items()}
    return losses


def record(settings: dict) -> dict:
    """Of the first step: the samples that were drawn, the losses, and the gradients."""
    losses = first_losses(settings)
    samples = {name: chains().double() for name, chains in losses.training.chains.items()}
    return {"samples": samples} | computed(losses, samples)


def computed(losses, samples) -> dict:
    """The losses and gradients of the first step with these samples."""
    losses.training.chains = {name: lambda x=x: x for name, x in samples.items()}
    values = losses(0)
    losses.objective(values, 0.0).backward()
    processes.average_gradients(losses.training.model)
    named = losses.training.model.named_parameters()
    return {
        "losses": {key: value.detach() for key, value in values.items()},
        "gradients": {key: value.grad for key, value in named if value.grad is not None},
    }
