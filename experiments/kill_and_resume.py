"""Kill a run with SIGKILL at random moments, resume it each time, and compare its weights with an uninterrupted run's.

    python experiments/kill_and_resume.py --kills 20 --out experiments/results/kill_and_resume.json

and the same with `--track points` and `--track images`, and files of their own.

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
from common import WHERE, Script, out_option, write_result
from safetensors.torch import load_file

OFTEN = ["--set=checkpoint_seconds=0.5", "--set=log_every=5"]
START = {
    "rule": ["train", "--dataset=digits", "--examples=200", "--set=train.steps=400", "--set=student.steps=2000"],
    "points": ["vision", "train", "--dataset=moons"],
    "images": ["vision", "train", "--dataset=digits", "--set=network.encoder=resnet8-8", "--set=train.steps=300"],
}
RESUME = {"rule": ["train"], "points": ["vision", "train"], "images": ["vision", "train"]}


@click.command(cls=Script)
@click.option("--track", type=click.Choice(list(START)), default="rule", show_default=True)
@click.option("--kills", default=20, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the moments.")
@out_option()
def main(track: str, kills: int, seed: int, out: Path | None) -> None:
    """Run the experiment."""
    with tempfile.TemporaryDirectory() as scratch:
        whole, killed = Path(scratch) / "whole", Path(scratch) / "killed"
        start(*START[track], *OFTEN, "--out", str(whole)).wait()
        seconds = json.loads((whole / "summary.json").read_text())["seconds"]
        longest = 1.5 * seconds / (kills + 2)
        reached = kill_again_and_again(track, killed, kills, longest, random.Random(seed))
        start(*RESUME[track], "--resume", str(killed)).wait()
        first, second = (load_file(folder / "model.safetensors") for folder in (whole, killed))
        summary = json.loads((killed / "summary.json").read_text())
        equal = all(torch.equal(first[name], second[name]) for name in first)
    print(f"{kills} kills; bit-identical: {equal}")
    if out:
        result = {"track": track, "kills": kills, "seed": seed, "killed_at": reached, "bit_identical": equal}
        write_result(out, result | {key: summary[key] for key in WHERE})
    sys.exit(not equal)


def kill_again_and_again(track: str, folder: Path, kills: int, longest: float, moments: random.Random) -> list[str]:
    """Where the run stood at each kill, a random moment of at most `longest` seconds after it began to train again."""
    command = [*START[track], *OFTEN, "--out", str(folder)]
    reached: list[str] = []
    while len(reached) < kills:
        before = position(folder)
        process = start(*command)
        while position(folder) == before and process.poll() is None:
            time.sleep(0.01)  # until it trains
        time.sleep(moments.uniform(0, longest))
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            raise SystemExit(f"The run ended after {len(reached)} kills; ask for fewer.")
        reached.append(position(folder))
        print(f"kill {len(reached)}: {reached[-1]}", flush=True)
        command = [*RESUME[track], "--resume", str(folder)]
    return reached


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """Start a process of ours."""
    return subprocess.Popen([sys.executable, "-m", "gedi_nesy", *arguments], stdout=subprocess.DEVNULL)


def position(folder: Path) -> str:
    """Where the run stood: the stage and step last logged."""
    metrics = folder / "metrics.jsonl"
    lines = metrics.read_text().split("\n")[:-1] if metrics.exists() else []
    row = json.loads(lines[-1]) if lines else {"stage": "start", "step": 0}
    return f"{row['stage']} {row['step']}"


if __name__ == "__main__":
    main()
