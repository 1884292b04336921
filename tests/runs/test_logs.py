"""Logs beside metrics.jsonl."""

import csv
import sys

import pytest

from gedi_nesy.errors import UserError
from gedi_nesy.runs.folder import RunFolder
from gedi_nesy.runs.logs import check_logs, open_logs


def row(stage, step, **losses):
    weights = dict.fromkeys(losses, 1.0)
    return {"stage": stage, "step": step, "loss": losses, "weight": weights, "optimum": {}, "failures": ["a", "b"]}


def log_rows(folder, log, rows):
    for each in rows:
        folder.append_metrics(each)
        log(each)


def read_csv(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return [
            {key: line.get(key) for key in ("stage", "step", "loss.nesy", "loss.gen")} for line in csv.DictReader(file)
        ]


def test_csv_has_a_column_for_each_loss_of_any_stage(tmp_path):
    folder = RunFolder(tmp_path)
    (log,) = open_logs(["csv", "csv"], folder)
    log.begin()
    log_rows(folder, log, [row("train", 100, nesy=0.5), row("train", 200, nesy=0.25), row("student", 100, gen=-1.0)])
    assert read_csv(folder) == [
        {"stage": "train", "step": "100", "loss.nesy": "0.5", "loss.gen": ""},
        {"stage": "train", "step": "200", "loss.nesy": "0.25", "loss.gen": ""},
        {"stage": "student", "step": "100", "loss.nesy": "", "loss.gen": "-1.0"},
    ]


def test_csv_of_a_resumed_run_has_no_row_twice(tmp_path):
    folder = RunFolder(tmp_path)
    (log,) = open_logs(["csv"], folder)
    log.begin()
    log_rows(folder, log, [row("train", 100, nesy=0.5), row("train", 200, nesy=0.25)])
    folder.rewind_metrics(lambda kept: kept["step"] <= 100)
    (log,) = open_logs(["csv"], folder)
    log.begin()
    log_rows(folder, log, [row("train", 200, nesy=0.125)])
    assert [(line["step"], line["loss.nesy"]) for line in read_csv(folder)] == [("100", "0.5"), ("200", "0.125")]


def test_tensorboard_has_a_curve_for_each_loss_and_hides_what_is_logged_again(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = RunFolder(tmp_path)
    (log,) = open_logs(["tensorboard"], folder)
    log.begin()
    log_rows(folder, log, [row("train", 100, nesy=0.5), row("train", 200, nesy=0.25), row("a student", 50, gen=-1.0)])
    log.begin()  # it went back
    log_rows(folder, log, [row("train", 200, nesy=0.125)])

    def curve(stage, name):
        events = EventAccumulator(str(tmp_path / "tensorboard" / stage))
        events.Reload()
        return [(point.step, point.value) for point in events.Scalars(name)]

    assert curve("train", "loss/nesy") == [(100, 0.5), (200, 0.125)]
    assert curve("a-student", "loss/gen") == [(50, -1.0)]


def test_a_missing_tensorboard_is_said_before_anything_is_written(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    check_logs(["csv"])
    with pytest.raises(UserError, match=r"The log tensorboard needs .* pip install 'gedi-nesy\[tensorboard\]'"):
        check_logs(["tensorboard"])
