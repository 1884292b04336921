"""A comparison end to end: its command line, on scikit-learn's digits, with runs of a few steps."""

import json
import tomllib

import pytest
from click.testing import CliRunner

from gedi_nesy.cli import main
from gedi_nesy.logic.program import find_program, read_source
from gedi_nesy.nesy.compare import gather, plan_cells
from gedi_nesy.nesy.published import TABLE_6
from gedi_nesy.report.comparison import Spread
from gedi_nesy.report.words import compared
from gedi_nesy.runs.compare.trial import Outcome

# without L_GEN, since drawing samples takes longer than all the rest
TINY = ["--dataset=digits", "--set=train.epochs=1", "--set=log_every=1", "--set=checkpoint_seconds=0"]
NESY = ["compare", "--methods=nesy", "--examples=100", "--jobs=1", *TINY]


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.usefixtures("no_pictures")
def test_compare_trains_resumes_and_keeps(tmp_path):
    out = tmp_path / "out"
    (out / "nesy-digits-100-seed0").mkdir(parents=True)  # and program.pl is all that a start killed at once has left
    (out / "nesy-digits-100-seed0" / "program.pl").write_text(read_source(find_program("addition")).text)
    command = [*NESY, "--seeds=2", "--out", out]
    first = invoke(*command, "--json")
    assert first.exit_code == 0, first.output
    result = json.loads(first.stdout)
    assert [(line["method"], line["examples"], line["finished"]) for line in result["table"]] == [("nesy", 100, 2)]
    assert {path.name for path in out.iterdir()} == {
        *(f"nesy-digits-100-seed{k}" for k in (0, 1)),
        *(f"comparison.{ending}" for ending in ("csv", "html", "json", "md", "png")),
    }
    killed, kept = (out / f"nesy-digits-100-seed{k}" for k in (0, 1))
    (killed / "summary.json").unlink()  # the last thing that a run writes
    before = (kept / "summary.json").stat().st_mtime_ns
    weights = (killed / "model.safetensors").read_bytes()
    second = invoke(*command)
    assert second.exit_code == 0, second.output
    assert "1 of 2 runs done" in second.output
    assert (kept / "summary.json").stat().st_mtime_ns == before
    assert (killed / "model.safetensors").read_bytes() == weights
    refused = invoke(*command, "--set=train.epochs=3")
    assert refused.exit_code == 1
    assert "holds a run with train.epochs = 1" in " ".join(refused.output.split())


@pytest.mark.usefixtures("no_pictures")
def test_a_failed_run_is_reported_and_the_command_fails(tmp_path):
    (tmp_path / "nesy-digits-100-seed0").mkdir()
    (tmp_path / "nesy-digits-100-seed0" / "mine.txt").write_text("not a run")
    result = invoke(*NESY, "--seeds=2", "--out", tmp_path)
    assert result.exit_code == 1
    assert "nesy-digits-100-seed0 FAILED: The run folder" in result.output
    assert "1 of 2, 1 failed" in result.output
    assert "1 of 2 runs failed; the same command tries them again." in result.output


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--methods=magic"], 2, "There is no method 'magic'"),
        (["--methods="], 2, "'' has an empty entry"),
        (["--methods=nesy,"], 2, "'nesy,' has an empty entry"),
        (["--examples="], 2, "'' has an empty entry"),
        (["--examples=100,0"], 2, "0 is not in the range"),
        (["--examples=many"], 2, "'many' is not a valid integer"),
        (["--seeds=0"], 2, "--seeds"),
        (["--jobs=0"], 2, "--jobs"),
        (["--methods=paper", "--examples=250"], 1, "100, 1000 or 10000 examples"),
        (["--set=seed=3"], 1, "--set seed has no place in a comparison; use --seeds"),
        (["--set=train.bach=3"], 1, "did you mean 'train.batch'"),
        (["--dataset=minst"], 1, "did you mean 'mnist'"),
        (["--dataset=digits", "--examples=5000"], 1, "more than the 1397 images"),
        (["--dataset=digits", "--examples=30", "--out=file/out"], 1, "Can't write to the folder"),
    ],
)
def test_errors_are_one_sentence(arguments, code, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    result = invoke("compare", "--methods=gedi+nesy", *arguments)
    assert result.exit_code == code, result.output
    assert sentence in " ".join(result.output.split())
    assert "Traceback" not in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_plan_is_every_recipe_with_its_seed():
    cells = plan_cells(["paper", "gedi+nesy"], [100], [3, 4], {"dataset": "digits", "log_every": 7})
    assert [cell.name for cell in cells] == [
        f"{method}-digits-100-seed{seed}" for seed in (3, 4) for method in ("paper", "gedi+nesy")
    ]
    settings = [tomllib.loads(cell.config) for cell in cells]
    assert [(s["recipe"], s["seed"], s["examples"], s["log_every"]) for s in settings] == [
        (recipe, seed, 100, 7) for seed in (3, 4) for recipe in ("paper-addition-100", "gedi-nesy-few")
    ]


@pytest.mark.parametrize(("dataset", "shown"), [("mnist", True), ("digits", False)])
def test_the_papers_figures_stand_beside_its_own_task_only(dataset, shown):
    (cell,) = plan_cells(["nesy"], [100], [0], {"dataset": "digits"})
    config = cell.config.replace('dataset = "digits"', f'dataset = "{dataset}"')
    outcome = Outcome(type(cell)(cell.name, "gedi+nesy", 1000, 0, config))
    (line,) = gather([outcome]).lines()
    assert line.published == ({"accuracy": Spread(0.96, 0.01), "nmi": Spread(0.91, 0.01)} if shown else {})
    assert set(TABLE_6["paper", 1000]) <= set(compared("rule"))


def test_report_is_written_again(tmp_path):
    out = tmp_path / "run"
    trained = invoke("train", "--method=nesy", "--examples=100", "--out", out, *TINY)
    assert trained.exit_code == 0, trained.output
    written = (out / "report.html").read_text()
    (out / "report.html").unlink()
    assert invoke("report", out).output.strip() == str(out / "report.html")
    assert (out / "report.html").read_text() == written
    (out / "summary.json").unlink()
    assert "has no summary.json yet" in " ".join(invoke("report", out).output.split())
