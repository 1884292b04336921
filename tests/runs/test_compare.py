"""Many runs under one folder, with runs that take no time."""

import csv
import html
import json
import multiprocessing
import signal
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster

import gedi_nesy.nesy.compare
import gedi_nesy.vision.compare
from gedi_nesy.errors import UserError
from gedi_nesy.report.comparison import (
    Comparison,
    Spread,
    comparison_png,
    markdown_table,
    text_table,
    write_comparison,
)
from gedi_nesy.report.comparison.progress import describe
from gedi_nesy.runs.compare.scheduler import Progress, Stopped, run_cells
from gedi_nesy.runs.compare.trial import Outcome, read_outcome
from tests.runs.trials import cell, compare_for_ever, stop_parent, train, train_beside_killed

FIGURES = {"accuracy": "accuracy", "certificate.certified": "certified", "seconds": "seconds"}


def run(cells, out, **options):
    return run_cells(cells, out, train, Path.read_text, **options)


def worked(out, cell):
    return (out / cell.name / "worked").read_text().split()


def test_failed_cells_are_reported_and_do_not_stop_the_rest(tmp_path):
    cells = [cell("refused"), cell("broken"), cell("good", seed=1)]
    told = []
    outcomes = run(cells, tmp_path, jobs=2, watch=told.append)
    assert [outcome.cell for outcome in outcomes] == cells
    assert outcomes[0].failure == "There is too little data; take less."
    assert outcomes[1].failure.startswith("ZeroDivisionError: division by zero (the traceback is in broken-10-seed0")
    assert "return 1 / 0" in (tmp_path / "broken-10-seed0.failed.txt").read_text()
    assert [outcome.summary and outcome.summary["accuracy"] for outcome in outcomes] == [None, None, 0.6]
    assert [(progress.done, progress.total) for progress in told] == [(k, 3) for k in range(4)]
    assert told[0].outcome is None
    assert {progress.outcome.cell.name for progress in told[1:]} == {cell.name for cell in cells}


def test_a_stop_ends_the_processes_too(tmp_path):
    with pytest.raises(Stopped, match="0 of 3 runs finished"):
        run_cells([cell("m", seed=k) for k in range(3)], tmp_path, stop_parent, Path.read_text, jobs=2)
    assert not multiprocessing.active_children()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_comparison_that_is_killed_leaves_no_process_behind(tmp_path):
    comparing = multiprocessing.get_context("spawn").Process(target=compare_for_ever, args=[tmp_path])
    comparing.start()
    files = [tmp_path / f"m-10-seed{k}" / "process" for k in range(2)]
    wait_until(lambda: not comparing.is_alive() or all(file.exists() and file.read_text() for file in files))
    comparing.kill()
    comparing.join()
    wait_until(lambda: not any(is_running(int(file.read_text())) for file in files))


def wait_until(true):
    while not true():
        time.sleep(0.05)


def is_running(process):
    """Not when it has ended and nobody has asked for its status yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("address", ["tcp://", "ftp://x:1", "a b"])
def test_a_wrong_cluster_address_is_one_sentence(address, tmp_path):
    with pytest.raises(UserError, match="No Dask scheduler answers at"):
        run([cell("good")], tmp_path, cluster=address)


def test_what_answers_in_another_language_is_no_scheduler(tmp_path):
    def answer():
        connection, _ = server.accept()
        with connection:
            connection.recv(1)
            connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(UserError, match="No Dask scheduler answers at"):
            run([cell("good")], tmp_path, cluster=f"tcp://127.0.0.1:{server.getsockname()[1]}")


def test_a_killed_process_costs_its_own_cell_and_a_stop_still_ends_all(tmp_path):
    killed, good, stop = (cell(method) for method in ("killed", "good", "stop"))
    told = []
    with pytest.raises(Stopped, match="1 of 3 runs finished"):
        run_cells([killed, good, stop], tmp_path, train_beside_killed, Path.read_text, jobs=2, watch=told.append)
    assert [progress.outcome and progress.outcome.cell for progress in told] == [None, killed, good]
    assert told[1].outcome.failure.startswith("The process that trained it was killed, most often for lack of memory")
    assert [read_outcome(each, tmp_path) for each in (killed, good)] == [progress.outcome for progress in told[1:]]
    assert told[2].outcome.summary
    assert worked(tmp_path, good) == ["resumed"]
    assert not multiprocessing.active_children()


def test_on_a_cluster_too_failed_and_killed_cells_do_not_stop_the_rest(tmp_path):
    cells = [cell("broken"), cell("good"), cell("killed")]
    told = []
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
    ):
        outcomes = run(cells, tmp_path, cluster=cluster.scheduler_address, watch=told.append)
        with Client(cluster, set_as_default=False) as client:
            client.wait_for_workers(1)  # a cluster that is closed while it starts a worker can hang
    assert [outcome.cell for outcome in outcomes] == cells
    assert outcomes[0].failure.startswith("ZeroDivisionError")
    assert outcomes[1].summary == {"accuracy": 0.5, "seconds": 3.0}
    assert outcomes[2].failure.startswith("The process that trained it was killed")
    assert outcomes == [read_outcome(each, tmp_path) for each in cells]
    assert [progress.done for progress in told] == [0, 1, 2, 3]


@pytest.mark.parametrize("damaged", ['{"accuracy": 0.', "[1]"])
def test_a_damaged_summary_fails_its_cell_until_it_is_deleted(damaged, tmp_path):
    cells = [cell("good"), cell("good", seed=1)]
    run(cells[:1], tmp_path, jobs=1)
    summary = tmp_path / cells[0].name / "summary.json"
    summary.write_text(damaged)
    outcomes = run(cells, tmp_path, jobs=1)
    assert f"{summary} is damaged and can't be read; delete it" in outcomes[0].failure
    assert outcomes[1].summary
    assert worked(tmp_path, cells[0]) == ["trained"]
    summary.unlink()
    assert run(cells, tmp_path, jobs=1)[0].summary
    assert worked(tmp_path, cells[0]) == ["trained", "resumed"]


@pytest.mark.parametrize("track", [gedi_nesy.nesy.compare, gedi_nesy.vision.compare])
def test_a_damaged_config_is_one_sentence_that_names_it(track, tmp_path):
    config = tmp_path / "good-10-seed0" / "config.toml"
    config.parent.mkdir()
    config.write_text("[train")
    with pytest.raises(UserError, match=r"good-10-seed0/config\.toml is not valid TOML"):
        run_cells([cell("good", seed=1), cell("good")], tmp_path, train, track.read_config, jobs=1)
    assert not (tmp_path / "good-10-seed1").exists()


def test_finished_cells_are_kept_and_the_others_go_on(tmp_path):
    done, killed, failed, new = cell("good"), cell("good", seed=1), cell("good", seed=2), cell("good", seed=3)
    run([done], tmp_path, jobs=1)
    (tmp_path / killed.name).mkdir()
    (tmp_path / killed.name / "config.toml").write_text(killed.config)
    (tmp_path / f"{failed.name}.failed.txt").write_text("It diverged.\n")
    assert read_outcome(failed, tmp_path).failure == "It diverged."
    outcomes = run([done, killed, failed, new], tmp_path, jobs=1)
    assert all(outcome.summary for outcome in outcomes)
    works = [worked(tmp_path, each) for each in (done, killed, failed, new)]
    assert works == [["trained"], ["resumed"], ["trained"], ["trained"]]
    assert not list(tmp_path.glob("*.failed.txt"))


def test_a_folder_belongs_to_its_settings(tmp_path):
    run([cell("good")], tmp_path, jobs=1)
    with pytest.raises(UserError, match=r"good-10-seed0 holds a run with train.steps = 5, where this comparison has 6"):
        run([cell("good", steps=6)], tmp_path, jobs=1)
    config = tmp_path / "good-10-seed0" / "config.toml"
    config.write_text(config.read_text().replace("new words", "old words"))
    run([cell("good")], tmp_path, jobs=1)


def test_a_run_that_was_asked_to_stop_stops_all(tmp_path):
    cells = [cell("good"), cell("stopped"), cell("good", seed=1)]
    with pytest.raises(Stopped, match="1 of 3 runs finished"):
        run(cells, tmp_path, jobs=1)
    assert read_outcome(cells[1], tmp_path) == Outcome(cells[1])
    assert not (tmp_path / cells[2].name).exists()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another with --out"):
        run([cell("good")], tmp_path / "file" / "out", jobs=1)


def test_the_time_left_is_what_runs_of_the_same_kind_took(tmp_path):
    cells = [cell("good", seed=seed) for seed in range(4)]
    told: list[Progress] = []
    run(cells, tmp_path, jobs=1, watch=told.append)
    assert [progress.seconds_left for progress in told] == [None, 3 * 3.0, 2 * 3.0, 3.0, 0]


def outcome(method, on, seed, accuracy, certified=False, seconds=10.0):
    summary = {"accuracy": accuracy, "certificate": {"certified": certified}, "seconds": seconds}
    return Outcome(cell(method, on, seed), summary=summary)


@pytest.fixture
def comparison():
    outcomes = [
        outcome("ours", 100, 0, 0.9, certified=True),
        outcome("rival", 100, 0, 0.3),
        outcome("ours", 1000, 0, 0.99, certified=True),
        outcome("ours", 100, 1, 0.8, certified=True, seconds=14.0),
        Outcome(cell("rival", 100, 1), failure="It diverged."),
        Outcome(cell("ours", 1000, 1)),
        outcome("ours", 100, 2, 0.1, seconds=30.0),
        Outcome(cell("rival", 1000, 0)),
    ]
    published = {("rival", 100): {"accuracy": Spread(0.42, 0.02)}, ("rival", 1000): {"accuracy": Spread(0.96, None)}}
    return Comparison(outcomes, "examples", FIGURES, published)


def test_the_lines_are_medians_over_the_finished_seeds(comparison):
    lines = comparison.lines()
    assert [(line.method, line.on) for line in lines] == [
        ("ours", 100), ("ours", 1000), ("rival", 100), ("rival", 1000),
    ]  # fmt: skip
    assert [(line.runs, line.finished, line.failed) for line in lines] == [(3, 3, 0), (2, 1, 0), (2, 1, 1), (1, 0, 0)]
    accuracy = lines[0].figures["accuracy"]
    assert accuracy.centre == 0.8
    assert accuracy.std == pytest.approx(((0.3**2 + 0.2**2 + 0.5**2) / 2) ** 0.5)  # mean .6
    assert lines[0].figures["certificate.certified"] == 2
    assert lines[1].figures["accuracy"] == Spread(0.99, None)
    assert lines[3].figures == {}


def test_the_table_shows_the_papers_figures_beside_ours_and_says_what_is_missing(comparison):
    assert markdown_table(comparison).splitlines()[2:] == [
        "| ours | 100 | 3 | 0.800±0.436 |  | 2 of 3 | 14±11 |",
        "| ours | 1000 | 1 of 2 | 0.990 |  | 1 of 1 | 10 |",
        "| rival | 100 | 1 of 2, 1 failed | 0.300 | 0.42±0.02 | 0 of 1 | 10 |",
        "| rival | 1000 | 0 of 1 | not run | 0.96 | not run | not run |",
    ]
    header, first, *_ = text_table(comparison).splitlines()
    assert header.split() == ["method", "examples", "runs", "accuracy", "paper", "certified", "seconds"]
    assert header.index("seconds") + len("seconds") == len(first)


def test_the_files_hold_every_run(comparison, tmp_path):
    write_comparison(tmp_path / "comparison", comparison, {"command": "compare"})
    rows = list(csv.DictReader((tmp_path / "comparison.csv").read_text().splitlines()))
    assert list(rows[0]) == ["method", "examples", "seed", *FIGURES, "run", "failure"]
    assert len(rows) == 8
    assert (rows[0]["accuracy"], rows[4]["accuracy"], rows[4]["failure"]) == ("0.9", "", "It diverged.")
    written = json.loads((tmp_path / "comparison.json").read_text())
    assert written["command"] == "compare"
    assert written["table"][2]["failures"] == ["It diverged."]
    assert written["runs"][3]["seconds"] == 14.0
    assert (tmp_path / "comparison.png").stat().st_size > 10_000


def test_the_page_has_the_table_the_plot_and_the_way_to_each_run(comparison, tmp_path):
    write_comparison(tmp_path / "comparison", comparison, {"command": "compare <these>"})
    text = (tmp_path / "comparison.html").read_text()
    for outcome in comparison.outcomes:
        linked = f'<a href="{outcome.cell.name}/report.html">' in text
        assert linked == (outcome.summary is not None)
        assert not outcome.failure or html.escape(outcome.failure) in text
    for line in markdown_table(comparison).splitlines()[2:]:
        assert all(html.escape(entry.strip()) in text for entry in line.split("|"))
    assert "data:image/png;base64," in text
    assert "compare &lt;these&gt;" in text


def test_the_papers_values_are_drawn(comparison, tmp_path):
    comparison_png(tmp_path / "with.png", comparison, "accuracy")
    comparison_png(tmp_path / "without.png", replace(comparison, published={}), "accuracy")
    assert comparison.published
    assert (tmp_path / "with.png").read_bytes() != (tmp_path / "without.png").read_bytes()


def test_nothing_finished_is_no_plot_and_no_error(tmp_path):
    write_comparison(tmp_path / "c", Comparison([Outcome(cell("ours"))], "examples", FIGURES), {})
    assert not (tmp_path / "c.png").exists()
    assert "not run" in (tmp_path / "c.md").read_text()


def test_a_run_that_ended_is_described_in_one_line():
    assert describe(outcome("ours", 100, 0, 0.9), FIGURES) == "ours-100-seed0: accuracy 0.9  certified no  seconds 10"
    assert describe(Outcome(cell("m"), failure="It diverged."), FIGURES) == "m-10-seed0 FAILED: It diverged."
