"""MNIST addition: only the sums of numbers of N digits are known; each image is used once.

    python experiments/mnist_addition.py          # the field's protocol: MNIST_Net, each image as it is
    python experiments/mnist_addition.py --ours   # our network for drawings, each image warped anew in every epoch

By the field's protocol numbers of 15 digits have sharpness-aware steps, too (`RADII`). A run is added to the result
when it ends, and the table is printed beside the published figures.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import click
import torch
from common import (
    FILE,
    Script,
    add_run,
    finished_runs,
    is_finished,
    mean_cell,
    out_option,
    seeds_option,
    settings_option,
)
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import gedi_nesy as gn
from gedi_nesy.data import Images, load_images
from gedi_nesy.networks.mnist_net import MNIST_Net
from gedi_nesy.networks.strided_net import StridedNet
from gedi_nesy.views.drawings import Warp

LENGTHS = (1, 2, 4, 8, 15)  # of the numbers
HELD_OUT = 10_000  # training images that --held-out scores on instead of the test images
BLACK = -1.0  # of inputs, which run from -1 to 1
PUBLISHED = {  # sum accuracy in percent, by the numbers' digits
    "DeepStochLog (A-NeSI's results_other_methods.csv)": {1: 97.9, 2: 96.4, 4: 92.7},
    "A-NeSI, predicted sum (its runs.csv)": {1: 97.66, 2: 95.95, 4: 92.48, 8: 86.16, 15: 54.66},
    "A-NeSI, argmax digits (its runs.csv)": {4: 92.56, 8: 86.62, 15: 75.90},
    "PLIA (NeSyDM's Table 1)": {4: 91.84, 15: 79.00},
    "NeSyDM (its Table 1)": {4: 92.49, 15: 77.29},
    "DeepSoftLog (DPrL's Table 1)": {4: 93.5, 15: 77.1},
    "DPrL, dynamic programming (its Table 1)": {4: 94.0, 15: 80.8},
    "ABL (ABLkit's README)": {1: 98.1},
}


@dataclass(frozen=True)
class Training:
    """How a network is trained: AdamW, a cosine, and the mean of the last weights.

    Chosen by the sums of held-out training images (`experiments/README.md`).

    Attributes:
        epochs: how often each image is seen.
        images: of a batch, as many for all lengths: 64 sums of two digits, 4 sums of numbers of 15.
        learning_rate: at the start.
        weight_decay: AdamW's, per unit of the learning rate.
        averaged: the last share of the training, whose weights are averaged.
        network: its name, one of NETWORKS.
        warp: how much each image is warped, anew in every epoch, as a share of `Warp`'s own deviations.
        radius: in every second step the gradient is taken not at the weights but where they come to when they are moved
            uphill by so much (sharpness-aware minimisation, Foret et al. 2021); such a step costs two.
    """

    epochs: int = 30
    images: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.3
    averaged: float = 0.5
    network: str = "mnist_net"
    warp: float = 0.0
    radius: float = 0.0


NETWORKS: dict[str, Callable[[], nn.Module]] = {"mnist_net": MNIST_Net, "strided_net": StridedNet}
FIELD = Training()
OURS = Training(learning_rate=4e-3, weight_decay=0.1, network="strided_net", warp=0.75)
RADII = {15: 0.15}  # of FIELD, by the numbers' digits: the others reach their aim without


def protocol(n: int, ours: bool) -> Training:
    """How a network for numbers of n digits is trained, by our protocol or by the field's."""
    return OURS if ours else replace(FIELD, radius=RADII.get(n, 0.0))


@dataclass(frozen=True)
class Sums:
    """E examples of numbers of N digits.

    Attributes:
        images: network inputs, [E, 2N, 1, 28, 28], the first number's before the second's.
        digits: which they show, int64 [E, 2N].
    """

    images: Tensor
    digits: Tensor

    def totals(self, digits: Tensor | None = None) -> list[int]:
        """The sum of each example, or of other digits that were read in its images."""
        rows = (self.digits if digits is None else digits).tolist()
        half = self.digits.shape[1] // 2
        return [_number(row[:half]) + _number(row[half:]) for row in rows]


def _number(digits: Sequence[int]) -> int:
    return int("".join(map(str, digits)))


def draw_sums(images: Tensor, labels: Tensor, n: int, seed: int) -> Sums:
    """The images, uint8 [images, 1, 28, 28], shuffled and cut into examples of 2n: each is used once at most."""
    examples = len(images) // (2 * n)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[: examples * 2 * n]
    inputs = images[order].float() / 127.5 - 1
    return Sums(inputs.view(examples, 2 * n, *images.shape[1:]), labels[order].view(examples, 2 * n))


def addition(n: int) -> gn.Constraint:
    """The rule for numbers of n digits, whose sum each example gives."""
    first, second = (", ".join(f"{name}{i}" for i in range(n)) for name in "XY")
    return gn.Constraint.from_file("addition_digits", f"addition([{first}], [{second}], S)", (f"S:{n + 1}",))


def train(sums: Sums, how: Training, seed: int) -> nn.Module:
    """A network that learns digits from sums by L_NESY alone."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    rule, net = addition(sums.digits.shape[1] // 2), NETWORKS[how.network]()
    keys, numbers = [variable.key for variable in rule.variables], rule.number_arguments({"S": sums.totals()})
    assert numbers is not None, "the rule has an argument"
    batch, warp = max(1, how.images // len(keys)), Warp().scaled(how.warp)
    optimiser = torch.optim.AdamW(net.parameters(), how.learning_rate, weight_decay=how.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, how.epochs * -(-len(numbers) // batch))
    averaged = AveragedModel(net)

    def differentiate(images: Tensor, rows: Tensor) -> None:
        log_probs = net(images).log_softmax(-1).view(len(rows), -1, 10).unbind(1)
        optimiser.zero_grad()
        (-rule.log_prob(dict(zip(keys, log_probs, strict=True)), numbers[rows]).mean()).backward()

    for epoch in range(how.epochs):
        for step, rows in enumerate(torch.randperm(len(numbers), generator=generator).split(batch)):
            images = sums.images[rows].flatten(0, 1)
            images = warp(images, BLACK, generator) if how.warp else images
            differentiate(images, rows)
            if how.radius and step % 2:
                with moved_uphill(net, how.radius):
                    differentiate(images, rows)
            optimiser.step()
            schedule.step()
            if epoch >= (1 - how.averaged) * how.epochs:
                averaged.update_parameters(net)
    return averaged.module


@contextmanager
def moved_uphill(net: nn.Module, radius: float) -> Iterator[None]:
    """Inside, all weights together are moved by `radius` (L2) along their gradient; after it they are as before."""
    gradients = {weight: weight.grad for weight in net.parameters() if weight.grad is not None}
    before, norm = [weight.detach().clone() for weight in gradients], nn.utils.get_total_norm(gradients.values())
    assert norm > 0, "a gradient of 0 has no direction"
    with torch.no_grad():
        for weight, gradient in gradients.items():
            weight.add_(gradient * (radius / norm))
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, old in zip(gradients, before, strict=True):
                weight.copy_(old)


@torch.no_grad()
def score(net: nn.Module, sums: Sums) -> dict[str, float]:
    """The share of sums that are right when each image's most probable digit is added, and of digits."""
    read = torch.cat([net(some.flatten(0, 1)).argmax(-1) for some in sums.images.split(100)]).view_as(sums.digits)
    right = [a == b for a, b in zip(sums.totals(read), sums.totals(), strict=True)]
    return {
        "sum_accuracy": sum(right) / len(right),
        "digit_accuracy": (read == sums.digits).float().mean().item(),
    }


def run(images: Images, n: int, seed: int, how: Training) -> dict[str, float]:
    """The scores and the time of one training."""
    sums = draw_sums(images.x_train, images.y_train, n, seed)
    wall, cpu = time.perf_counter(), time.process_time()
    net = train(sums, how, seed)
    seconds = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
    return {"sums": len(sums.digits), **score(net, draw_sums(images.x_test, images.y_test, n, seed)), **seconds}


def held_out(images: Images) -> Images:
    """The training images alone, HELD_OUT of them in the place of the test images; always the same ones."""
    order = torch.randperm(len(images.x_train), generator=torch.Generator().manual_seed(0))
    test, train = order[:HELD_OUT], order[HELD_OUT:]
    x, y = images.x_train, images.y_train
    return replace(images, x_train=x[train], y_train=y[train], x_test=x[test], y_test=y[test])


def table(runs: Sequence[dict[str, Any]]) -> str:
    """Mean sum accuracy in percent, as Markdown, with the number of runs, above the published figures."""
    lines = [f"| | {' | '.join(f'N = {n}' for n in LENGTHS)} |", f"| --- {'| --- ' * len(LENGTHS)}|"]
    for name, ours in {"gedi-nesy, field's protocol": False, "gedi-nesy, our network and warps": True}.items():
        cells = []
        for n in LENGTHS:
            of_table = {"held_out": False, "digits": n, **asdict(protocol(n, ours))}.items()  # others are trials
            cells.append(mean_cell([run for run in runs if of_table <= run.items()], "sum_accuracy"))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for name, known in PUBLISHED.items():
        lines.append(f"| {name} | {' | '.join(str(known.get(n, '')) for n in LENGTHS)} |")
    return "\n".join(lines)


class Lengths(click.ParamType):
    """Lengths of numbers, such as "1,2,15"."""

    name = "lengths"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """The lengths, each one of LENGTHS."""
        known = {str(n): n for n in LENGTHS}
        if any(part not in known for part in str(value).split(",")):
            self.fail(f"{value!r} is not a list of some of {', '.join(known)}", param, ctx)
        return [known[part] for part in str(value).split(",")]


def _changed(how: Training, settings: Mapping[str, Any]) -> Training:
    """A training with other settings.

    Raises:
        UsageError: there is no such setting or network, or a value is of another kind.
    """
    if unknown := settings.keys() - asdict(FIELD).keys():
        raise click.UsageError(f"--set changes {', '.join(asdict(FIELD))}, not {', '.join(unknown)}.")
    for name, value in settings.items():
        known = getattr(FIELD, name)
        if not isinstance(value, int | float if isinstance(known, float) else type(known)):
            raise click.UsageError(f"{name} is given as {value!r}, where it takes such values as {known!r}.")
    how = replace(how, **settings)
    if how.network not in NETWORKS:
        raise click.UsageError(f"network is one of {', '.join(NETWORKS)}, not {how.network}.")
    return how


@click.command(cls=Script)
@click.option("--digits", type=Lengths(), default="1,2,4,8,15", show_default=True, help="How many each number has.")
@seeds_option("700-709")
@click.option("--ours", is_flag=True, help="Our network, images warped; the published methods have neither.")
@click.option("--held-out", "holding_out", is_flag=True, help="Train on 50,000 images, score on 10,000 others of them.")
@settings_option
@click.option("--data-dir", type=FILE, help="Where MNIST lies.")
@out_option("mnist-addition.json")
def main(
    digits: list[int],
    seeds: range,
    ours: bool,
    holding_out: bool,
    settings: dict[str, Any],
    data_dir: Path | None,
    out: Path,
) -> None:
    """Train on sums of numbers of each length, once a seed; what a result holds already is kept."""
    torch.set_num_threads(1)
    trainings = {n: _changed(protocol(n, ours), settings) for n in digits}
    images = load_images("mnist", data_dir)
    images = held_out(images) if holding_out else images
    for seed, n in product(seeds, digits):
        here = {"digits": n, "held_out": holding_out, "seed": seed, **asdict(trainings[n])}
        if not is_finished(out, here):
            new = here | run(images, n, seed, trainings[n])
            add_run(out, new, list(here), {})
            click.echo(json.dumps(new))
    click.echo(table(finished_runs(out)))


if __name__ == "__main__":
    main()
