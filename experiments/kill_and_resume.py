"""Kill a run with SIGKILL at random moments, resume it each time, and compare its weights with an uninterrupted run's.

    python experiments/kill_and_resume.py --kills 20 --out experiments/results/kill_and_resume.json

Prints one line for each kill and whether every weight is equal to the last bit. Takes a few minutes on two cores.
"""

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import torch
from common import WHERE, out_option, write_result
from safetensors.torch import load_file

SETTINGS = ["--dataset=digits", "--examples=200", "--set=train.steps=400", "--set=student.steps=2000"]
SETTINGS += ["--set=checkpoint_seconds=0.5", "--set=log_every=5"]


@click.command()
@click.option("--kills", default=20, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the moments.")
@out_option()
def main(kills: int, seed: int, out: Path | None) -> None:
    """Run the experiment."""
    with tempfile.TemporaryDirectory() as scratch:
        whole, killed = Path(scratch) / "whole", Path(scratch) / "killed"
        train("--out", str(whole), *SETTINGS).wait()
        seconds = json.loads((whole / "summary.json").read_text())["seconds"]
        reached = kill_again_and_again(killed, kills, 2 * seconds / (kills + 2), random.Random(seed))
        train("--resume", str(killed)).wait()
        first, second = (load_file(folder / "model.safetensors") for folder in (whole, killed))
        summary = json.loads((killed / "summary.json").read_text())
        equal = all(torch.equal(first[name], second[name]) for name in first)
    print(f"{kills} kills; bit-identical: {equal}")
    if out:
        result = {"kills": kills, "seed": seed, "killed_at": reached, "bit_identical": equal}
        write_result(out, result | {key: summary[key] for key in WHERE})
    sys.exit(not equal)


def kill_again_and_again(folder: Path, kills: int, longest: float, moments: random.Random) -> list[str]:
    """Where the run stood at each kill, a random moment of at most `longest` seconds after it began to train again."""
    command = ["--out", str(folder), *SETTINGS]
    reached: list[str] = []
    while len(reached) < kills:
        before = position(folder)
        process = train(*command)
        while position(folder) == before and process.poll() is None:
            time.sleep(0.01)  # until it trains
        time.sleep(moments.uniform(0, longest))
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            raise SystemExit(f"The run ended after {len(reached)} kills; ask for fewer.")
        reached.append(position(folder))
        print(f"kill {len(reached)}: {reached[-1]}", flush=True)
        command = ["--resume", str(folder)]
    return reached


def train(*arguments: str) -> subprocess.Popen[bytes]:
    """Start a training process."""
    return subprocess.Popen([sys.executable, "-m", "gedi_nesy", "train", *arguments], stdout=subprocess.DEVNULL)


def position(folder: Path) -> str:
    """Where the run stood: the stage and step last logged."""
    metrics = folder / "metrics.jsonl"
    lines = metrics.read_text().split("\n")[:-1] if metrics.exists() else []
    row = json.loads(lines[-1]) if lines else {"stage": "start", "step": 0}
    return f"{row['stage']} {row['step']}"


if __name__ == "__main__":
    main()
