"""The benchmark of the vision track at toy size: every stage is measured beside what the device reaches."""

import json

import bench_vision
import pytest
from click.testing import CliRunner
from gpu_training import TOY

PEAKS = {"float32": 1e12, "bfloat16": 1e12, "bytes": 1e11}


def test_each_stage_has_its_needs_and_its_share_of_the_peak(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_vision, "measure_limits", lambda device: {"name": "CPU", "peaks": PEAKS})
    settings = [f"--set={key}={json.dumps(value)}" for key, value in TOY.items() if key not in bench_vision.PLAIN]
    out = tmp_path / "bench.json"
    command = ["--recipe=gedi-pictures", "--variants=eager,channels_last", "--iterations=1", f"--out={out}", *settings]
    result = CliRunner().invoke(bench_vision.main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    stages = json.loads(out.read_text())["stages"]
    assert list(stages) == ["features", "train", "refine", "student"]
    for stage in stages.values():
        assert stage["iteration"]["float32"]["flop"] > 0
        assert [line["variant"] for line in stage["lines"]] == ["eager", "channels_last"]
        for line in stage["lines"]:
            # operations by the peak's rate, by the time taken: the share that is reached
            least = stage["iteration"]["float32"]["flop"] / PEAKS["float32"]
            assert line["share_of_peak"] == pytest.approx(least * line["iterations_per_second"])
        assert stage["lines"][0]["times_first"] == 1.0
