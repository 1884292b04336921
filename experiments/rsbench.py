"""rsbench's MNAdd-Half and MNAdd-EvenOdd: only sums of pairs are known, and the pairs leave shortcuts open.

    python experiments/rsbench.py half
    python experiments/rsbench.py even-odd
    python experiments/rsbench.py even-odd --labelled 1

A run is added to the result when it ends, and the table is printed beside the published figures.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    runs_option,
    seeds_option,
    settings_option,
)
from once import run_on, write_labels
from settings import EVEN_ODD, LEARNED, RULES
from torch import Tensor

import gedi_nesy as gn
from gedi_nesy.core.metrics import calibrate
from gedi_nesy.data import Images, load_images
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.support import predicted_support
from gedi_nesy.nesy.table import read_own

TRAIN, TEST = 420, 60  # drawings of each ordered pair of digits; rsbench's 120 for validation are not needed here
COLUMNS = {
    "label_accuracy": "ACCy",
    "concept_accuracy": "ACCc",
    "ood_label_accuracy": "ACCy OOD",
    "ood_concept_accuracy": "ACCc OOD",
    "concept_ece": "ECEc",
}


@dataclass(frozen=True)
class Task:
    """One of rsbench's tasks.

    Attributes:
        pairs: the digits of training examples; their swaps are, too.
        digits: how many digits there are: pairs of these that are not trained on are out of distribution.
        program: the rule.
        published: in percent, as COLUMNS (NeSyDM's Table 3).
    """

    pairs: Sequence[tuple[int, int]]
    digits: int
    program: str
    published: Mapping[str, Sequence[float]]

    @property
    def worlds(self) -> list[tuple[int, int]]:
        """The pairs and their swaps."""
        return sorted({*self.pairs, *((b, a) for a, b in self.pairs)})

    @property
    def others(self) -> list[tuple[int, int]]:
        """All other pairs."""
        pairs = [(a, b) for a in range(self.digits) for b in range(self.digits)]
        return sorted(set(pairs) - set(self.worlds))


TASKS = {
    "half": Task(
        ((0, 0), (0, 1), (2, 3), (2, 4)),
        5,
        str(RULES / "half.pl"),
        {
            "DeepProbLog's likelihood": (98.24, 42.76, 5.81, 38.97, 69.4),
            "semantic loss": (99.62, 42.88, 0.48, 38.92, 70.6),
            "BEARS, on DeepProbLog's": (99.19, 43.26, 6.31, 39.49, 36.8),
            "BEARS, on the semantic loss": (99.76, 42.86, 0.11, 38.88, 37.6),
            "NeSyDM, unconditional": (99.12, 79.41, 10.9, 57.22, 39.5),
            "NeSyDM, conditional": (99.12, 71.16, 28.44, 62.76, 4.18),
        },
    ),
    "even-odd": Task(
        EVEN_ODD,
        10,
        "addition_sum",
        {
            "DeepProbLog's likelihood": (70.77, 0.40, 7.29, 7.50, 81),
            "semantic loss": (97.38, 0.33, 0.05, 7.07, 82),
            "BEARS, on DeepProbLog's": (92.02, 0.48, 1.60, 9.36, 28.8),
            "BEARS, on the semantic loss": (98.67, 0.19, 0, 6.25, 34.5),
            "NeSyDM, unconditional": (97.52, 0.36, 0, 4.65, 20.9),
            "NeSyDM, conditional": (98.27, 20.33, 0.02, 14.25, 2.70),
        },
    ),
}


@dataclass(frozen=True)
class Pairs:
    """N examples: pictures, uint8 [N, 1, 28, 28], and digits, int64 [N], of X and of Y."""

    images: Mapping[str, Tensor]
    digits: Mapping[str, Tensor]

    @property
    def sums(self) -> list[int]:
        """What is known of each."""
        return (self.digits["X"] + self.digits["Y"]).tolist()


def draw(x: Tensor, y: Tensor, worlds: Sequence[tuple[int, int]], each: int, generator: torch.Generator) -> Pairs:
    """Each pair of digits so many times, in a random order, with images drawn with replacement, as rsbench does."""
    digits = torch.tensor(worlds).repeat(each, 1)
    digits = digits[torch.randperm(len(digits), generator=generator)]  # the first ones are matched
    rows = torch.empty_like(digits)
    for digit in digits.unique():
        pool, places = (y == digit).nonzero().flatten(), digits == digit
        rows[places] = pool[torch.randint(len(pool), (int(places.sum()),), generator=generator)]
    named = [dict(zip("XY", values.unbind(1), strict=True)) for values in (rows, digits)]
    return Pairs({name: x[own] for name, own in named[0].items()}, named[1])


def measure(
    name: str, images: Images, seed: int, labelled: int, settings: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    """The figures of one run."""
    task, generator = TASKS[name], torch.Generator().manual_seed(seed)
    train = draw(images.x_train, images.y_train, task.worlds, TRAIN, generator)
    test, ood = (draw(images.x_test, images.y_test, worlds, TEST, generator) for worlds in (task.worlds, task.others))
    overrides = {"program": task.program, "arguments": ("S",), "seed": seed, **LEARNED, **settings}
    if labelled:
        rows = torch.randperm(len(train.sums), generator=generator)[:labelled]
        digits = train.digits["X"][rows].tolist()
        overrides["labels"] = write_labels(folder.with_suffix(".labels.npz"), train.images["X"][rows], digits)
    cpu = time.process_time()
    run = run_on({**train.images, "S": train.sums}, folder, overrides)
    cpu = time.process_time() - cpu
    certificate, matching = run.summary["certificate"], run.summary["matching"] or {}
    return {
        "task": name,
        "labelled": labelled,
        "seed": seed,
        **score(run, test),
        **{f"ood_{key}": value for key, value in score(run, ood).items()},
        "certified": certificate["certified"],
        "failures": certificate["failures"],
        "readings": readings(run),
        **{key: matching.get(key) for key in ("separation", "margin", "chains")},
        "recipe": run.summary["recipe"],
        "cpu_seconds": round(cpu, 1),
    }


def score(run: gn.Run, pairs: Pairs) -> dict[str, float]:
    """Shares of sums and of digits that are right, and the calibration of the digits' probabilities.

    The sum is the most probable one, over all digits that add up to it.
    """
    log_probs = {name: run.log_probs(x) for name, x in pairs.images.items()}
    sums, _ = run.constraint.most_probable_answer(log_probs)
    right = [read == known for (read,), known in zip(sums, pairs.sums, strict=True)]
    each, digits = torch.cat([log_probs["X"], log_probs["Y"]]), torch.cat([pairs.digits["X"], pairs.digits["Y"]])
    return {
        "label_accuracy": round(sum(right) / len(right), 4),
        "concept_accuracy": round((each.argmax(-1) == digits).float().mean().item(), 4),
        "concept_ece": round(calibrate(each, digits).ece, 4),
    }


def readings(run: gn.Run) -> list[dict[str, str]]:
    """The one-to-one renamings of the digits that the run sees in its training examples could have, beside its own.

    No label is looked at: the pairs are those that its networks read.
    """
    examples = read_own(run.recipe, run.constraint, run.folder.path)
    loader = Loader(examples, run.constraint, run.readings, run.device)
    support = predicted_support(run.networks, run.constraint, loader)
    if support is None:
        return []
    found = [next(iter(names.values())) for names in run.constraint.diagnose(support).examples]
    one_to_one = [names for names in found if len(set(names.values())) == len(names)]
    return [{str(a): str(b) for a, b in names.items()} for names in one_to_one]


def table(name: str, runs: Sequence[Mapping[str, Any]]) -> str:
    """Means in percent, as Markdown, with the number of runs and how many are certified, above published figures."""
    own = {labelled: [run for run in runs if (run["task"], run["labelled"]) == (name, labelled)] for labelled in (0, 1)}
    lines = [f"| {name} | {' | '.join(COLUMNS.values())} | certified |", f"| --- {'| --- ' * (len(COLUMNS) + 1)}|"]
    for labelled, title in ((0, "gedi-nesy"), (1, "gedi-nesy, one labelled image")):
        if own[labelled]:
            cells = [mean_cell(own[labelled], key) for key in COLUMNS]
            certified = sum(run["certified"] for run in own[labelled])
            lines.append(f"| {title} | {' | '.join(cells)} | {certified} of {len(own[labelled])} |")
    for title, figures in TASKS[name].published.items():
        lines.append(f"| {title} | {' | '.join(map(str, figures))} | |")
    return "\n".join(lines)


@click.command(cls=Script)
@click.argument("task", type=click.Choice(list(TASKS)))
@seeds_option("700-709")
@click.option("--labelled", type=click.IntRange(0, 1), default=0, help="1 gives the run one labelled image.")
@settings_option
@click.option("--data-dir", type=FILE, help="Where MNIST lies.")
@out_option("rsbench.json")
@runs_option("runs/rsbench")
def main(
    task: str,
    seeds: range,
    labelled: int,
    settings: dict[str, Any],
    data_dir: Path | None,
    out: Path,
    runs: Path,
) -> None:
    """Train on TASK once a seed; what a result holds already is kept."""
    torch.set_num_threads(1)
    images, about = load_images("mnist", data_dir), {"settings": {**LEARNED, **settings}}
    for seed in seeds:
        here = {"task": task, "labelled": labelled, "seed": seed}
        if not is_finished(out, here, about):
            new = measure(task, images, seed, labelled, settings, runs / f"{task}-labelled{labelled}-seed{seed}")
            add_run(out, new, list(here), about)
            click.echo(json.dumps(new))
    click.echo(table(task, finished_runs(out)))


if __name__ == "__main__":
    main()
