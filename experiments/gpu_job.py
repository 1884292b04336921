"""Shared by the steps of gpu.py: the growing report, and runs of the package in processes of their own."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

KEPT = ("accuracy", "constraint_satisfaction", "test_constraint_log_likelihood", "certificate", "seconds", "steps")
# The run that is killed: on images with every setting of speed on a GPU, at toy size on points
RESUMED = {"dataset": "digits", "examples": 1000, "train.steps": 400, "train.batch": 32, "checkpoint_seconds": 0.5}
RESUMED |= {"sampler.chains": 32, "sampler.buffer": 256, "sampler.engine": "graph"}
RESUMED |= {"speed.bf16": "true", "speed.channels_last": "true"}
RESUMED_TOY = {"dataset": "moons", "examples": 200, "pretrain.steps": 10, "train.steps": 10, "refine.steps": 100}
RESUMED_TOY |= {"checkpoint_seconds": 0.05, "restarts": 1}
TOY = ["--dataset=digits", "--examples=60", "--set=train.steps=10", "--set=student.steps=10"]
TOY += ["--set=matching.sweeps=3", "--set=matching.chains=8"]


@dataclass
class Job:
    """Where it computes and writes, until when, and what was found so far."""

    device: torch.device
    dry: bool
    out: Path
    deadline: float
    report: dict[str, Any] = field(default_factory=lambda: {"steps": {}})

    @property
    def left(self) -> float:
        """Seconds."""
        return self.deadline - time.monotonic()

    def note(self, step: str, figures: dict[str, Any]) -> None:
        """Add to what a step has found, and write everything."""
        self.report["steps"].setdefault(step, {}).update(figures)
        whole = self.out / "gpu.json.part"
        whole.write_text(json.dumps(self.report, indent=1, default=str) + "\n")
        whole.replace(self.out / "gpu.json")

    def figures(self, step: str, find: Callable[["Job"], dict[str, Any]]) -> dict[str, Any]:
        """What another step has found, or finds now."""
        found = self.report["steps"].get(step, {})
        return found if found and "error" not in found else find(self)


def rule_run(job: Job, seed: int) -> dict[str, Any]:
    """The main job, addition on MNIST from 1000 triples, as a user starts it."""
    sizes = TOY if job.dry else ["--dataset=mnist", "--examples=1000"]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / f"seed{seed}"
        process = start(["train", *sizes, f"--seed={seed}", f"--device={job.device}", f"--out={folder}"])
        finish([process], job.left)
        for name in ("losses.png", "samples.png"):
            shutil.copyfile(folder / name, job.out / f"seed{seed}-{name}")
        summary = json.loads((folder / "summary.json").read_text())
    return {key: summary[key] for key in KEPT}


def kill_and_resume(job: Job) -> dict[str, Any]:
    """Whether a run that was killed and resumed by another process ends with the weights of one that was not."""
    steps = 100 if job.dry else 400
    command = ["vision", "train", "--method=gedi", f"--device={job.device}", "--set=log_every=5"]
    command += [f"--set={key}={value}" for key, value in (RESUMED_TOY if job.dry else RESUMED).items()]
    with tempfile.TemporaryDirectory() as scratch:
        whole, killed = Path(scratch) / "whole", Path(scratch) / "killed"
        first, second = (start([*command, f"--out={folder}"]) for folder in (whole, killed))
        try:
            while last_step(killed) < steps // 4 and second.poll() is None:
                time.sleep(0.02)
            second.kill()
            second.wait()
            reached = last_step(killed)
            finish([first, start(["vision", "train", f"--resume={killed}"])], job.left)
        finally:
            first.kill()
            second.kill()
        hashes = [hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() for folder in (whole, killed)]
    return {"killed at step": reached, "of": steps, "equal": hashes[0] == hashes[1], "sha256": hashes}


def start(arguments: list[str]) -> subprocess.Popen[str]:
    """A process of the package's own command; the folder of this checkout comes first."""
    path = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", "gedi_nesy", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )


def finish(running: list[subprocess.Popen[str]], seconds: float) -> None:
    """Wait for processes; RuntimeError with what one said when it failed. None is left behind."""
    try:
        for process in running:
            _, said = process.communicate(timeout=seconds)
            if process.returncode:
                raise RuntimeError(f"{process.args!r} ended with {process.returncode}: {said[-3000:]}")
    finally:
        for process in running:
            process.kill()


def last_step(folder: Path) -> int:
    """The step that a run has logged last."""
    metrics = folder / "metrics.jsonl"
    lines = metrics.read_text().split("\n")[:-1] if metrics.exists() else []
    return json.loads(lines[-1])["step"] if lines else 0
