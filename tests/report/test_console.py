"""What the terminal shows while a run trains."""

import io
from functools import partial

import pytest
from rich.console import Console

from gedi_nesy.report.console import ProgressDisplay, ood_table, shown_progress, summary_table
from gedi_nesy.runs.callbacks import sign_of_life

ROW = {
    "stage": "student",
    "step": 20,
    "steps": 40,
    "loss": {"nesy": 1.5},
    "optimum": {"nesy": 0.0},
    "weight": {"nesy": 25.0},
    "D": 0.5,
    "failures": [],
    "steps_per_second": 10.0,
    "seconds_left": 65.0,
}


def screen(display):
    """The lines that the screen shows now."""
    console = Console(width=100, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(display.render())
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_bar_and_table_have_lines_of_their_own():
    display = ProgressDisplay(Console(file=io.StringIO()))
    display.row(ROW)
    head, bar, titles, losses, diagnosis = screen(display)
    assert head.endswith("student 20/40  10 steps/s  1:05 left")
    assert set(bar.strip()) <= set("━╸╺")
    assert titles.split() == ["term", "loss", "[nats]", "optimum", "weight"]
    assert losses.split() == ["nesy", "1.5000", "0.0000", "25"]
    assert diagnosis.startswith("running D = 0.500 nats")


def test_features_without_clusters_are_not_called_collapsed():
    display = ProgressDisplay(Console(file=io.StringIO()))
    display.row(ROW | {"loss": {"barlow": 0.5}, "optimum": {}, "weight": {"barlow": 1.0}, "failures": ["collapse"]})
    assert screen(display)[-1] == "running D = 0.500 nats: of features alone, which have no clusters yet"


def test_a_sign_of_life_moves_the_bar_and_a_new_phase_is_named():
    display = ProgressDisplay(Console(file=io.StringIO()))
    display.row(ROW)
    display.row(sign_of_life("student", 30, 40))
    head, _, titles, *_ = screen(display)
    assert "student 30/40  10 steps/s" in head
    assert titles.startswith("term")  # the last losses stay
    display.row(sign_of_life("evaluating"))
    display.heard -= 7  # seconds
    (line,) = screen(display)
    assert line.endswith("evaluating  7 s")


def test_without_a_screen_every_phase_has_a_line():
    file = io.StringIO()
    with ProgressDisplay(Console(file=file, width=200)) as display:
        for row in (sign_of_life("matching"), sign_of_life("matching", 3, 40), ROW, ROW | {"step": 40}):
            display.row(row)
    assert [line.split()[:2] for line in file.getvalue().splitlines()] == [
        ["matching"],
        ["student", "20/40"],
        ["student", "40/40"],
    ]


@pytest.mark.parametrize("progress", [True, False])
def test_a_script_without_a_terminal_shows_nothing(progress, capsys):
    with shown_progress(progress) as tell:
        tell(ROW)
    assert capsys.readouterr() == ("", "")


def test_a_notebook_has_one_line_that_is_written_over(monkeypatch, capsys):
    monkeypatch.setattr("gedi_nesy.report.console.Console", partial(Console, force_jupyter=True))
    with shown_progress(True) as tell:
        tell(sign_of_life("matching", 1, 40))
        tell(ROW)
    written = capsys.readouterr().out
    assert [part.split()[:2] for part in written.split("\r")[1:]] == [["matching", "1/40"], ["student", "20/40"]]
    assert written.count("\n") == 1


CERTIFICATE = {"certified": False, "failures": ["restarts that disagree"], "restart_agreement": 0.9, "D": 0.01}


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({}, "withheld: restarts that disagree (beside that: final D = 0.010 nats, restarts agree on 90.0%)"),
        ({"failures": [], "restart_agreement": None}, "withheld: nothing to confirm the result (beside that: final D"),
        (
            {"failures": [], "certified": True},
            "given: no reason for doubt, final D = 0.010 nats, restarts agree on 90.0%",
        ),
    ],
)
def test_a_certificate_that_is_withheld_begins_with_the_reason(found, says):
    console = Console(width=200, file=io.StringIO())
    console.print(summary_table({"certificate": CERTIFICATE | found}))
    assert says in console.file.getvalue()


def test_each_score_of_ood_is_explained():
    console = Console(width=200, file=io.StringIO())
    console.print(ood_table({"noise": {"images": 9, "energy": 0.8, "gradient": 0.7}}))
    text = console.file.getvalue()
    assert "\nenergy: log p(x) up to a constant" in text
    assert "\ngradient: how flat the density is" in text
    assert "softmax:" not in text  # there is none in the table


def test_a_function_is_told_of_everything():
    told = []
    with shown_progress(told.append) as tell:
        tell(ROW)
    assert told == [ROW]
