"""Nine minutes on one GPU, without a network: is the package right there, how fast is it, and what does it learn?

Each step's figures are written to OUT/gpu.json when it ends, pictures beside it. A step that fails leaves its traceback
and the next one begins; one for which too little time is left is skipped. MNIST and CIFAR-10 are looked for in
$GEDI_NESY_DATA, the latter as cifar10.npz or in the parts that unpack.py beside them unpacks.

    timeout 540 python experiments/gpu.py --out OUT
    python experiments/gpu.py --out OUT --dry                     # every step at toy size on the CPU, within a minute
    python experiments/gpu.py --out OUT --only speed --only train
"""

import json
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import click
import gpu_training
import torch
from bench_vision import FAST, begun, measure, measure_limits, measure_need, seconds, take_steps
from common import Script
from gpu_job import Job, kill_and_resume, rule_run
from torch import Tensor, nn

from gedi_nesy.core import losses
from gedi_nesy.core.objective import uniform_log_prior
from gedi_nesy.core.precision import tf32
from gedi_nesy.core.reference import Reference
from gedi_nesy.core.sgld import SGLD
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.networks.strided_net import StridedNet
from gedi_nesy.runs.folder import provenance
from gedi_nesy.runs.phases import PhaseState
from gedi_nesy.vision.image_network import ImageNetworks
from gedi_nesy.vision.networks import new_networks
from gedi_nesy.vision.recipe import Recipe, load_recipe
from gedi_nesy.vision.rounded import Rounded

PUBLISHED = "paper-cifar10-gedi"
GRAPH = {"sampler.engine": "graph"}
VARIANTS: dict[str, dict[str, Any]] = {"eager": {}, "graph": GRAPH, "fast": FAST, "fast+graph": FAST | GRAPH}
TOY = {"network.encoder": "resnet8-4", "sampler.steps": 2, "sampler.buffer": 64}
ENGINES: tuple[Literal["torch", "graph"], ...] = ("torch", "graph")
BATCHES = (20, 60, 1024, 16384)


class Step(NamedTuple):
    """What it does, the seconds without which it is not begun, and those after which it is stopped."""

    run: Callable[[Job], dict[str, Any]]
    least: float = 5
    most: float = 60


def card(job: Job) -> dict[str, Any]:
    """The device, and its peak rates."""
    found: dict[str, Any] = {"limits": measure_limits(job.device), **provenance(job.device)}
    if job.device.type == "cuda":
        about = torch.cuda.get_device_properties(job.device)
        found |= {"gigabytes": about.total_memory / 2**30, "multiprocessors": about.multi_processor_count}
        found |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return found


def agreement(job: Job) -> dict[str, Any]:
    """How far each loss, and a step of SGLD without noise, is from the CPU's, in float32 without TF32."""
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(2, 64, 10, generator=generator).tanh() for _ in range(2))
    rows = {}
    with tf32(False, job.device):
        for name in losses.__all__:
            if name.endswith("_loss") or name == "prior_divergence":
                rows[name] = differences(job, getattr(losses, name), *inputs_of(name, first, second))
        for name, (net, x) in energy_models(job, chains=8).items():
            rows[f"a step of SGLD, {name}"] = differences(job, one_step_of(net), x)
    return {"largest": max(value for row in rows.values() for value in row.values()), "relative": rows}


def inputs_of(name: str, first: Tensor, second: Tensor) -> list[Tensor]:
    """What a loss takes: log-probabilities and a prior, or two views' logits, embeddings or cosines."""
    log_probs = [x.log_softmax(-1) for x in (first, second)]
    if name.startswith("prior"):
        return [log_probs[0], uniform_log_prior(10)]
    if name.startswith("negative_entropy"):
        return log_probs[:1]
    if name.startswith("certain"):  # these are certain
        return [(50 * x).log_softmax(-1) for x in (first, second)]
    return log_probs if name.startswith("invariance") else [first, second]


def one_step_of(net: nn.Module) -> Callable[[Tensor], Tensor]:
    """x after one step of SGLD without noise, on the device of x."""

    def step(x: Tensor) -> Tensor:
        x = x.detach()
        return SGLD(steps=1, noise=0.0)(net.to(x.device), x, torch.Generator(x.device))

    return step


def differences(job: Job, function: Callable[..., Tensor], *inputs: Tensor) -> dict[str, float]:
    """The largest difference of the value and of the gradients from the CPU's, relative to the largest entry."""
    results = []
    for device in (torch.device("cpu"), job.device):
        moved = [x.detach().to(device, copy=True).requires_grad_() for x in inputs]
        value = function(*moved)
        if value.requires_grad:
            value.sum().backward()
        gradients = {f"gradient {i}": x.grad.cpu() for i, x in enumerate(moved) if x.grad is not None}
        results.append({"value": value.detach().cpu()} | gradients)
    cpu, other = results
    return {key: ((other[key] - cpu[key]).abs().max() / cpu[key].abs().max()).item() for key in cpu}


def waits(job: Job) -> dict[str, Any]:
    """Where a step of training makes the GPU wait for Python: nowhere."""
    ours = gpu_training.recipe_of(job)
    stands = {name: partial(begun, published(job, 64, settings)) for name, settings in variants(job).items()}
    stands |= {f"{ours.recipe}, {stage}": partial(begun, ours, stage=stage) for stage in ours.stages}
    for name, begin in stands.items():
        job.note("waits", {name: where_it_waits(job, begin())})
    return {}


def where_it_waits(job: Job, stand: PhaseState) -> str:
    """The traceback of what waits in a step, or of what else fails there."""
    take_steps(stand, 3)
    if job.device.type == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        take_steps(stand, 3)
    except (RuntimeError, ArithmeticError):
        return traceback.format_exc(limit=-4)
    finally:
        if job.device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    return "none"


def rule(job: Job) -> dict[str, Any]:
    """`Constraint` on addition: distance from the CPU's, and milliseconds of value and gradient."""
    constraint, rows = Constraint.from_file("addition"), {}

    def log_prob(logits: Tensor) -> Tensor:
        x, y, z = logits.log_softmax(-1).unbind(1)
        return constraint.log_prob({"X": x, "Y": y, "Z": z})

    for batch in BATCHES[: 2 if job.dry else None]:
        logits = torch.randn(batch, 3, 10, generator=torch.Generator().manual_seed(batch))
        row: dict[str, Any] = {"relative": differences(job, log_prob, logits)}
        for device in {"cpu", job.device.type}:
            x = logits.to(device).requires_grad_()
            row[f"ms {device}"] = 1e3 * seconds(lambda x=x: log_prob(x).sum().backward(), torch.device(device))
        rows[str(batch)] = row
    return rows


def energy_models(job: Job, chains: int = 0) -> dict[str, tuple[nn.Module, Tensor]]:
    """The main job's student, our student on pictures, and the published network on images, last; in float32."""
    student = StridedNet(10).requires_grad_(False)
    shapes = (chains or 32, 1, 28, 28), (1, chains or 64, 3, 32, 32)
    draws = [torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1 for shape in shapes]
    found: dict[str, tuple[nn.Module, Tensor]] = {"student": (student.eval(), draws[0])}
    for name, networks in image_models(job, {"speed.bf16": False}).items():
        found[name] = networks.requires_grad_(False).eval(), draws[1]
    return found


def image_models(job: Job, settings: dict[str, Any]) -> dict[str, ImageNetworks]:
    """The networks that L_GEN trains in our recipe for pictures and in the published one, by their encoders."""
    found = {}
    for recipe in (gpu_training.recipe_of(job, settings), published(job, 64, settings)):
        networks = new_networks(recipe, 1, (3, 32, 32), 10, 0)
        assert isinstance(networks, ImageNetworks)
        found[str(recipe.network_of(recipe.last).encoder)] = networks
    return found


def chains(job: Job) -> dict[str, Any]:
    """Milliseconds of a step of SGLD: one operation after the other, and as a CUDA graph; whether they agree."""
    rows: dict[str, Any] = {}
    found = {name: (net.to(job.device), x.to(job.device)) for name, (net, x) in energy_models(job).items()}
    _, x = list(found.values())[-1]
    found |= {f"{name}, bfloat16": (Rounded(net.to(job.device))(), x) for name, net in image_models(job, FAST).items()}
    reference = Reference(torch.full((1, 1, 1), -1.0, device=job.device), 50.0)
    for name, (net, x) in found.items():
        sampler = SGLD(steps=2 if job.dry else 20, reference=reference if name == "student" else None)
        ends, row = [], {}
        for engine in ENGINES[: 2 if job.device.type == "cuda" else 1]:
            sgld = replace(sampler, engine=engine)
            ends.append(sgld(net, x, torch.Generator(job.device).manual_seed(2)))
            row[f"ms a step, {engine}"] = ms_a_step(sgld, net, x)
        rows[name] = row | {"largest difference": (ends[-1] - ends[0]).abs().max().item()}
    return rows


def ms_a_step(sgld: SGLD, net: nn.Module, x: Tensor) -> float:
    """Milliseconds of a step of SGLD, rounded as in training."""
    generator = torch.Generator(x.device).manual_seed(3)
    with tf32(True, x.device):
        return 1e3 * seconds(lambda: sgld.advance(net, x, generator), x.device) / sgld.steps


def variants(job: Job) -> dict[str, dict[str, Any]]:
    """Ways to compute; there are no graphs on a CPU."""
    return {name: how for name, how in VARIANTS.items() if job.device.type == "cuda" or "graph" not in name}


def published(job: Job, batch: int, settings: dict[str, Any]) -> Recipe:
    """The published recipe on images with a chain for each image of a batch."""
    batch = 8 if job.dry else batch
    sizes = {"train.batch": batch, "sampler.chains": batch, "device": str(job.device), "examples": 1000}
    return load_recipe(PUBLISHED, sizes | (TOY if job.dry else {}) | settings)


def speed(job: Job) -> dict[str, Any]:
    """Iterations a second of the published recipe, at its batch and at eight times that, beside the card's peak."""
    rows, peaks = {}, job.figures("card", card)["limits"]["peaks"]
    needed = TOY | {"train.batch": 8, "sampler.chains": 8} if job.dry else {}
    flop = measure_need(PUBLISHED, needed | {"device": str(job.device), "examples": 1000})["flop"]  # at batch 64
    for batch in (64,) if job.dry else (64, 512):
        for name, settings in variants(job).items():
            took = measure(published(job, batch, settings), 4 if job.dry else 24)
            kind = "bfloat16" if "fast" in name else "float32"
            share = flop * batch / 64 / peaks[kind] / took
            rows[f"batch {batch}, {name}"] = {"iterations a second": 1 / took, "share of peak": share}
            job.note("speed", rows)
    return rows


def compiled(job: Job) -> dict[str, Any]:
    """By torch.compile: a step of SGLD, and iterations a second; a rehearsal at toy size compiles nothing."""
    how = FAST | {"speed.compile": "none" if job.dry else "default"}
    name, networks = list(image_models(job, how).items())[-1]
    x = torch.rand(1, 8 if job.dry else 64, 3, 32, 32, device=job.device) * 2 - 1
    took = ms_a_step(SGLD(steps=2 if job.dry else 20), Rounded(networks.to(job.device))(), x)
    job.note("compiled", {f"ms a step of SGLD, {name}, bfloat16": took})
    took = measure(published(job, 64, how | ({} if job.dry else GRAPH)), 4 if job.dry else 24)
    return {"iterations a second, batch 64": 1 / took}


# the last step takes all the time there is, and should have three minutes
STEPS = {
    "card": Step(card),
    "agreement": Step(agreement),
    "waits": Step(waits),
    "rule": Step(rule),
    "chains": Step(chains),
    "speed": Step(speed, 20, 90),
    "resume": Step(kill_and_resume, 40, 100),
    "seed 600": Step(lambda job: rule_run(job, 600), 60, 150),
    "seed 601": Step(lambda job: rule_run(job, 601), 280, 150),
    "compiled": Step(compiled, 240, 45),
    "train": Step(gpu_training.train, 40, 600),
}


@click.command(cls=Script, help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A folder.")
@click.option("--seconds", "budget", default=520.0, show_default=True, help="When to be done.")
@click.option("--only", multiple=True, type=click.Choice(list(STEPS)), help="Steps to run.  [default: all]")
@click.option("--dry", is_flag=True, help="Toy sizes on the CPU.")
def main(out: Path, budget: float, only: tuple[str, ...], dry: bool) -> None:
    """Run the experiment."""
    out.mkdir(parents=True, exist_ok=True)
    job = Job(torch.device("cpu" if dry else "cuda"), dry, out, time.monotonic() + budget)
    job.report["command"] = shlex.join(["python", "experiments/gpu.py", *sys.argv[1:]])
    for name in only or STEPS:
        run_step(job, name, STEPS[name])
    sys.exit(any("error" in found for found in job.report["steps"].values()))


def run_step(job: Job, name: str, step: Step) -> None:
    """Run a step as long as it may, whatever comes of it, and write the report."""
    began = time.monotonic()
    if job.left < (0 if job.dry else step.least):
        job.note(name, {"skipped": f"{job.left:.0f} s were left and it needs {step.least:.0f}"})
        return
    try:
        with time_limit(600 if job.dry else min(step.most, job.left)):
            job.note(name, step.run(job))
    except Exception:
        job.note(name, {"error": traceback.format_exc()})
    job.note(name, {"seconds": round(time.monotonic() - began, 1)})
    print(name, json.dumps(job.report["steps"][name]), flush=True)


@contextmanager
def time_limit(most: float) -> Iterator[None]:
    """TimeoutError inside after so many seconds."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"stopped after {most:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, most)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


if __name__ == "__main__":
    main()
