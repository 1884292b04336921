"""The nine minutes on a GPU, rehearsed at toy size on the CPU."""

import json
import math

import gpu
import pytest
from click.testing import CliRunner

SLOW = ("resume", "seed 600", "seed 601")  # each starts processes of its own


def rehearse(folder, *steps):
    result = CliRunner().invoke(gpu.main, ["--out", str(folder), "--dry", *(f"--only={step}" for step in steps)])
    assert result.exit_code == 0, result.output
    return json.loads((folder / "gpu.json").read_text())["steps"]


def test_every_step_that_starts_no_process(tmp_path):
    found = rehearse(tmp_path, *(name for name in gpu.STEPS if name not in SLOW))
    assert list(found) == [name for name in gpu.STEPS if name not in SLOW]
    assert found["agreement"]["largest"] == 0  # the CPU agrees with itself
    assert "swav_loss" in found["agreement"]["relative"]
    assert set(found["waits"].values()) == {"none", found["waits"]["seconds"]}
    assert found["chains"]["student"]["largest difference"] == 0
    assert "resnet8-4-spectral, bfloat16" in found["chains"]
    assert found["compiled"]["iterations a second, batch 64"] > 0
    assert all(row["iterations a second"] > 0 for name, row in found["speed"].items() if name.startswith("batch"))
    assert {"gedi-pictures, features", "gedi-pictures, student"} < set(found["waits"])
    for name in ("features", "train", "refine", "student"):
        assert found["train"][name]["looks"][-1]["step"] == found["train"][name]["steps"]
        assert 0 <= found["train"][name]["looks"][-1]["knn"] <= 1
        assert found["train"][name]["steps a second"] > 0
    assert 0 <= found["train"]["features"]["looks"][-1]["linear probe"] <= 1
    assert 0 <= found["train"]["student"]["looks"][-1]["nmi"] <= 1
    assert len(found["train"]["D of the restarts"]) == 2
    assert (tmp_path / "samples.png").stat().st_size > 1000


@pytest.mark.slow
def test_the_steps_that_start_processes(tmp_path):
    found = rehearse(tmp_path, *SLOW)
    assert found["resume"]["equal"]
    assert 0 < found["resume"]["killed at step"] < found["resume"]["of"]
    assert 0 <= found["seed 600"]["accuracy"] <= 1
    assert (tmp_path / "seed600-losses.png").exists()
    assert (tmp_path / "seed601-samples.png").exists()


def test_a_step_that_fails_leaves_its_traceback_and_the_next_one_begins(tmp_path, monkeypatch):
    def fail(job):
        raise ValueError("out of luck")

    steps = {"first": gpu.Step(fail), "second": gpu.Step(lambda job: {"figure": math.pi})}
    monkeypatch.setattr(gpu, "STEPS", steps)
    result = CliRunner().invoke(gpu.main, ["--out", str(tmp_path), "--dry"])
    found = json.loads((tmp_path / "gpu.json").read_text())["steps"]
    assert result.exit_code == 1
    assert "out of luck" in found["first"]["error"]
    assert found["second"]["figure"] == math.pi


def test_a_step_for_which_no_time_is_left_is_skipped(tmp_path):
    job = gpu.Job(gpu.torch.device("cpu"), False, tmp_path, gpu.time.monotonic() + 3)
    gpu.run_step(job, "long", gpu.Step(lambda job: {"figure": 1}, least=20))
    assert job.report["steps"]["long"].keys() == {"skipped"}
    assert "s were left and it needs 20" in job.report["steps"]["long"]["skipped"]


def test_a_step_that_takes_too_long_is_stopped(tmp_path):
    job = gpu.Job(gpu.torch.device("cpu"), False, tmp_path, gpu.time.monotonic() + 60)
    gpu.run_step(job, "long", gpu.Step(lambda job: gpu.time.sleep(30), most=0.1))
    assert "TimeoutError" in job.report["steps"]["long"]["error"]
