"""How many iterations a second each stage of the vision track makes on images: eager, and with its settings of speed.

An iteration is a whole step of the stage: views, SGLD chains, all losses, backward, optimiser. The variants run in
turn in one process; the median of some blocks of iterations counts. Beside it stand the needs of an iteration and the
peak rates of the device, both measured here:

- the floating-point operations of an iteration (of convolutions and matrix products, as torch counts them), divided by
  the rate of a large matrix product;
- the bytes that its operations read and write, each by itself, divided by the rate of copying a large tensor: an upper
  bound, because operations that are compiled into one don't pass their results through memory;
- the number of operations, which an eager loop has to launch.

Both needs are counted for the types that a variant computes in. On CUDA float32 means TF32, in matrix products
and convolutions, as training has it.

The roofline is the longer of the first two times, and the share of the peak the first over the time that was measured.

    python experiments/bench_vision.py --device cuda --out experiments/results/bench_vision.json
    python experiments/bench_vision.py --variants eager,bf16 --set network.encoder=resnet8-8 --iterations 2
    python experiments/bench_vision.py --recipe gedi-pictures --device cuda
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import torch
from common import Script, out_option, settings_option, write_result
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from gedi_nesy.cli.shared import Commas
from gedi_nesy.core.fit import fit
from gedi_nesy.core.precision import tf32
from gedi_nesy.runs.phases import PhaseState
from gedi_nesy.vision.learner import Learner
from gedi_nesy.vision.recipe import Recipe, Student, load_recipe

BLOCK = 4  # iterations that are timed together, as a GPU works on one while Python launches the next
PLAIN = {"speed.bf16": False, "speed.channels_last": False, "sampler.engine": "torch"}  # whatever a recipe has
FAST = {"speed.bf16": True, "speed.channels_last": True}
VARIANTS: dict[str, dict[str, Any]] = {
    "eager": {},
    "channels_last": {"speed.channels_last": True},
    "bf16": {"speed.bf16": True},
    "bf16+channels_last": FAST,
    "graph": {"sampler.engine": "graph"},
    "bf16+channels_last+graph": FAST | {"sampler.engine": "graph"},
    "compiled": {"speed.compile": "default"},
    "bf16+channels_last+compiled": FAST | {"speed.compile": "default"},
    "bf16+channels_last+compiled graphs": FAST | {"speed.compile": "reduce-overhead"},
}


class Need(TorchDispatchMode):
    """Counts the operations that compute something, their floating-point operations, the bytes they read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.flop = self.bytes = self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Called for every operation."""
        result = func(*args, **(kwargs or {}))
        if func._overloadpacket in flop_registry:
            self.flop += flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=result)
        read = [part for part in tree_leaves((args, kwargs)) if isinstance(part, Tensor)]
        written = [part for part in tree_leaves(result) if isinstance(part, Tensor)]
        places = {part.untyped_storage().data_ptr() for part in read}
        views = all(part.untyped_storage().data_ptr() in places for part in written)
        if written and not (views and not func._schema.is_mutable):
            self.operations += 1
            self.bytes += sum(part.numel() * part.element_size() for part in [*read, *written])
        return result


@click.command(cls=Script)
@click.option("--recipe", default="paper-cifar10-gedi", show_default=True)
@click.option("--variants", type=Commas(click.Choice(list(VARIANTS))), help="[default: all; no graphs on CPU]")
@click.option("--device", default="cpu", show_default=True)
@click.option("--threads", default=1, show_default=True, help="On CPU.")
@click.option("--iterations", default=20, show_default=True)
@settings_option
@out_option()
def main(
    recipe: str,
    variants: tuple[str, ...] | None,
    device: str,
    threads: int,
    iterations: int,
    settings: dict[str, Any],
    out: Path | None,
) -> None:
    """Run the experiment."""
    torch.set_num_threads(threads)
    cuda = torch.device(device).type == "cuda"
    own, stages = PLAIN | settings | {"device": device, "examples": 1000}, dict[str, Any]()
    limits = measure_limits(torch.device(device))
    print(f"{limits['name']}: " + ", ".join(f"{key} {value / 1e12:.3g} T/s" for key, value in limits["peaks"].items()))
    names = variants or [name for name in VARIANTS if cuda or "graph" not in name]
    for stage in load_recipe(recipe, own).stages:
        stages[stage] = measure_stage(recipe, own, stage, names, iterations, limits["peaks"])
    if out:
        about = {"recipe": recipe, "settings": own, "device_limits": limits, "stages": stages}
        write_result(out, about, device)


def measure_stage(
    recipe: str, own: dict[str, Any], stage: str, variants: Sequence[str], iterations: int, peaks: Mapping[str, float]
) -> dict[str, Any]:
    """The needs of a stage's iteration, and what each variant makes of them; graphs are for L_GEN alone."""
    kinds = ("float32", "bfloat16")
    needs = {kind: measure_need(recipe, own | {"speed.bf16": kind == "bfloat16"}, stage) for kind in kinds}
    for kind, need in needs.items():
        print(
            f"{stage}, an iteration in {kind}: {need['flop'] / 1e9:.1f} GFLOP, {need['bytes'] / 1e9:.2f} GB, ", end=""
        )
        print(f"{need['operations']} operations")
    lines: list[dict[str, Any]] = []
    for variant in variants:
        settings = load_recipe(recipe, own | VARIANTS[variant])
        if "sampler.engine" in VARIANTS[variant] and settings.stages[stage].weights.gen.is_zero:
            continue
        line = reached(variant, measure(settings, iterations, stage), needs, peaks)
        first = lines[0] if lines else line
        lines.append(line | {"times_first": line["iterations_per_second"] / first["iterations_per_second"]})
        figures = {key: value for key, value in lines[-1].items() if key != "variant"}
        print(f"{stage}, {variant}: " + ", ".join(f"{key} {value:.3g}" for key, value in figures.items()), flush=True)
    return {"iteration": needs, "lines": lines}


def reached(
    variant: str, took: float, needs: Mapping[str, Mapping[str, int]], peaks: Mapping[str, float]
) -> dict[str, Any]:
    """A variant's speed beside the device's peak, given the seconds that an iteration took."""
    kind = "bfloat16" if VARIANTS[variant].get("speed.bf16") else "float32"
    least = needs[kind]["flop"] / peaks[kind]
    return {
        "variant": variant,
        "iterations_per_second": 1 / took,
        "share_of_peak": least / took,
        "roofline_iterations_per_second": 1 / max(least, needs[kind]["bytes"] / peaks["bytes"]),
    }


def begun(recipe: Recipe, x: Tensor | None = None, clusters: int = 10, stage: str | None = None) -> PhaseState:
    """A stage, by default the first, before its first step, with fresh networks, on these images or on random ones."""
    if x is None:
        x = torch.randint(256, (1000, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    learner = Learner(recipe, [x], clusters)
    phase = next(phase for phase in learner.phases if stage in (phase.name, None))
    if isinstance(phase.stage, Student):
        learner.targets = torch.full((1, len(x), clusters), 1 / clusters, device=learner.device)
    training = learner.begin(phase, None)
    return PhaseState(phase, training, learner.losses(phase, training))


def take_steps(stand: PhaseState, count: int) -> None:
    """So many steps as training takes them; on a GPU they are done only after a `synchronize`."""
    training, stage = stand.training, stand.phase.stage
    end = training.step + count
    fit(training, stand.losses.objective, stand.losses, steps=end, learning_rate=stage.learning_rate)


def measure_need(recipe: str, own: dict[str, Any], stage: str | None = None) -> dict[str, int]:
    """Operations of one eager iteration of a stage, by default the first."""
    stand, need = begun(load_recipe(recipe, own), stage=stage), Need()
    take_steps(stand, 1)
    with need:
        take_steps(stand, 1)
    return {"flop": need.flop, "bytes": need.bytes, "operations": need.operations}


def measure_limits(device: torch.device) -> dict[str, Any]:
    """The device's peak rates: FLOP/s of a matrix product in each type, bytes/s of a copy."""
    side = 8192 if device.type == "cuda" else 1024
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    peaks = {}
    with tf32(True, device):  # as training has it
        for kind in (torch.float32, torch.bfloat16):
            matrix = torch.randn(side, side, device=device).to(kind)
            took = seconds(lambda matrix=matrix: matrix @ matrix, device)
            peaks[str(kind).removeprefix("torch.")] = 2 * side**3 / took
    source = torch.empty(side * side * 4, device=device)
    peaks["bytes"] = 2 * source.numel() * 4 / seconds(lambda: source.clone(), device)
    return {"name": name, "peaks": peaks}


def seconds(function: Any, device: torch.device, rounds: int = 10) -> float:
    """The least time of some calls, after two to warm up."""
    times = []
    for _ in range(rounds + 2):
        start = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times[2:])


def measure(recipe: Recipe, iterations: int, stage: str | None = None) -> float:
    """The median seconds of an iteration of a stage, by default the first, of blocks of `BLOCK`; the first block warms
    up, compiles and records."""
    stand = begun(recipe, stage=stage)
    device, times = stand.training.generator.device, []
    for _ in range(1 + -(-iterations // BLOCK)):
        start = time.perf_counter()
        take_steps(stand, BLOCK)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append((time.perf_counter() - start) / BLOCK)
    return statistics.median(times[1:])


if __name__ == "__main__":
    main()
