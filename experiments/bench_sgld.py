"""How many times as fast SGLD is as a plain autograd loop over torch's own layers: 20 steps on MNIST_Net, CPU.

The three run in turn in one process, so that a noisy machine disturbs them alike; the ratio is the median of the ratios
of neighbouring runs. One thread is timed by its CPU time, which leaves out other processes' time; two by the clock.
With the same noise the samples must agree: the largest difference of a pixel is printed too, without noise and with it.
(Without noise, rounding can decide which of two nearly equal pixels a pool takes; a step of that chain then differs.)

    python experiments/bench_sgld.py [--rounds 15] [--out bench_sgld.json]
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import torch
from common import Script, out_option, write_result
from torch import Tensor, nn

from gedi_nesy.core.sgld import SGLD
from gedi_nesy.networks.mnist_net import MNIST_Net

STEPS, STEP_SIZE, CLAMP = 20, 1.0, (-1.0, 1.0)
Sampler = Callable[[Tensor, torch.Generator], Tensor]


def plain_loop(net: nn.Module, noise: float) -> Sampler:
    """The loop that anyone would write first."""

    def run(x: Tensor, generator: torch.Generator) -> Tensor:
        for _ in range(STEPS):
            x = x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(net(x).logsumexp(1).sum(), x)
            step = STEP_SIZE * gradient + noise * torch.randn(x.shape, generator=generator)
            x = (x.detach() + step).clamp(*CLAMP)
        return x

    return run


def samplers(net: MNIST_Net, noise: float) -> dict[str, Sampler]:
    """The plain loop over plain layers, and SGLD with each engine there is."""
    named = {"plain": plain_loop(net.as_sequential(), noise)}
    for engine in ("torch", "numba") if find_spec("numba") else ("torch",):
        sampler = SGLD(STEPS, STEP_SIZE, noise, CLAMP, engine=engine)
        named[engine] = partial(sampler, net)
    return named


def differences(net: MNIST_Net, x: Tensor, noise: float) -> dict[str, float]:
    """The largest difference of a pixel from the plain loop after all steps, by engine."""
    ends = {name: run(x, torch.Generator().manual_seed(1)) for name, run in samplers(net, noise).items()}
    return {name: (end - ends["plain"]).abs().max().item() for name, end in ends.items() if name != "plain"}


def compare(net: MNIST_Net, chains: int, threads: int, rounds: int) -> dict[str, Any]:
    """One line of the table."""
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(chains, 1, 28, 28, generator=generator) * 2 - 1
    runs = samplers(net, noise=0.01)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            start = clock()
            run(x, generator)
            times[name].append(1e3 * (clock() - start))
    times = {name: values[1:] for name, values in times.items()}  # the first round warms up and compiles
    ratios = {
        name: statistics.median(plain / own for plain, own in zip(times["plain"], values, strict=True))
        for name, values in times.items()
        if name != "plain"
    }
    return {
        "chains": chains,
        "threads": threads,
        "median_ms": {name: statistics.median(values) for name, values in times.items()},
        "least_ms": {name: min(values) for name, values in times.items()},
        "median_ratio": ratios,
        "largest_difference": differences(net, x, 0.0),
        "largest_difference_with_noise": differences(net, x, 0.01),
    }


@click.command(cls=Script)
@click.option("--rounds", default=15, show_default=True)
@out_option()
def main(rounds: int, out: Path | None) -> None:
    """Print the table; write it where --out says."""
    torch.manual_seed(0)
    net = MNIST_Net()
    print("threads chains | plain ms | engine  median ms  least ms  times as fast | difference: no noise, noise")
    lines = []
    for threads in (1, 2):
        for chains in (48, 60, 180):
            line = compare(net, chains, threads, rounds)
            lines.append(line)
            for engine, ratio in line["median_ratio"].items():
                print(
                    f"{threads:7} {chains:6} | {line['median_ms']['plain']:8.1f} | {engine:6} "
                    f"{line['median_ms'][engine]:10.1f} {line['least_ms'][engine]:9.1f} {ratio:14.2f} | "
                    f"{line['largest_difference'][engine]:.1e}, {line['largest_difference_with_noise'][engine]:.1e}"
                )
    if out:
        write_result(out, {"lines": lines})


if __name__ == "__main__":
    main()
