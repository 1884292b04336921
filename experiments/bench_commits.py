"""The rule's speed beside another commit: forward and backward of addition and of addition_sum, in turn.

    git worktree add --detach ../before 2e93662
    python experiments/bench_commits.py ../before

Each turn starts a process with this checkout's package and one with the other's. The least time of 60 repeats counts,
each of 20 calls; the medians over the turns are stored. One thread.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import click
from common import RESULTS, Script, write_result

ROOT = Path(__file__).parent.parent
BATCHES = (20, 60)
MEASURE = """
import json, time, torch
from gedi_nesy.logic.constraint import Constraint
torch.set_num_threads(1)
torch.manual_seed(0)
times = {}
for program, arguments in (("addition", ()), ("addition_sum", ("S",))):
    rule = Constraint.from_file(program, arguments=arguments)
    names = [variable.key for variable in rule.variables]
    for batch in BATCHES:
        logits = torch.randn(batch, len(names), 10, requires_grad=True)
        values = {"S": [i % 19 for i in range(batch)]} if arguments else None
        seconds = []
        for _ in range(60):
            start = time.process_time()
            for _ in range(20):
                inputs = dict(zip(names, logits.log_softmax(-1).unbind(1)))
                (-rule.log_prob(inputs, values).mean()).backward()
            seconds.append((time.process_time() - start) / 20)
        times[f"{program}, batch {batch}"] = 1e3 * min(seconds)
print(json.dumps(times))
"""


def measure(tree: Path) -> dict[str, float]:
    """The least CPU time of each rule and batch in milliseconds, with the package of a checkout."""
    code = MEASURE.replace("BATCHES", repr(BATCHES))
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    times: dict[str, float] = json.loads(found.stdout)
    return times


def commit_of(tree: Path) -> str:
    """The commit that is checked out in a folder."""
    found = subprocess.run(
        ["git", "-C", tree, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


@click.command(cls=Script)
@click.argument("before", type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path))
@click.option("--turns", default=9, show_default=True, help="Of each commit.")
def main(before: Path, turns: int) -> None:
    """Measure beside the checkout in the folder BEFORE, print and store."""
    if not (before / "gedi_nesy").is_dir():
        raise click.UsageError(f"{before} is no checkout of this repository: it has no gedi_nesy.")
    here, there = zip(*((measure(ROOT), measure(before)) for _ in range(turns)), strict=True)
    table = {}
    for name in here[0]:
        ours, theirs = ([times[name] for times in own] for own in (here, there))
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        table[name] = {
            "milliseconds": statistics.median(ours),
            "milliseconds_before": statistics.median(theirs),
            "ratio": statistics.median(ratios),
            "ratios": [min(ratios), max(ratios)],
        }
        click.echo(
            f"{name:24} {table[name]['milliseconds']:.3f} ms, before {table[name]['milliseconds_before']:.3f} ms, "
            f"{statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f})"
        )
    write_result(
        RESULTS / "inference_commits.json",
        {"commit": commit_of(ROOT), "before": commit_of(before), "turns": turns, "rules": table},
    )


if __name__ == "__main__":
    main()
