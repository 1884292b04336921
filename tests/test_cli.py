import json
import math
import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner
from PIL import Image

from gedi_nesy.cli import MODULES, main
from gedi_nesy.data import DataUnavailable
from gedi_nesy.logic.compile import NoDiagram

TINY = ["--set=matching.chains=8", "--set=matching.sweeps=5", "--set=train.steps=2", "--set=student.steps=2"]
TINY += ["--set=sampler.steps=1"]


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_check_says_what_cannot_be_trained(tmp_path):
    (tmp_path / "named.pl").write_text("nn(d, [X], Y, [0,1]) :: d(X,Y). q(X) :- d(X,1), d(x,1). query(q(X)).")
    checked = invoke("check", tmp_path / "named.pl")
    assert checked.exit_code == 0
    assert "It can't be trained: The rule calls d on x, which is no image" in " ".join(checked.output.split())
    assert json.loads(invoke("check", "addition", "--json").stdout)["obstacle"] is None


def test_a_run_is_asked_by_the_commands_of_its_track(trained):
    asked = invoke("vision", "evaluate", trained[0])
    assert asked.exit_code == 1
    assert "use the commands of gedi-nesy, without vision" in " ".join(asked.output.split())


def test_train_prints_its_summary_as_json(trained):
    out, summary = trained
    assert summary == json.loads((out / "summary.json").read_text())
    assert summary["machine"].keys() == {"system", "processor", "instructions", "threads"}


@pytest.mark.parametrize("command", MODULES)
def test_every_command_has_help_with_an_example(command):
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert f"gedi-nesy {command}" in result.output


def test_predict_names_the_symbol_of_a_file(trained, tmp_path):
    Image.new("L", (56, 56)).save(tmp_path / "black.png")
    result = invoke("predict", trained[0], tmp_path / "black.png", "--json")
    (row,) = json.loads(result.stdout)
    assert row["symbol"] in "0123456789"
    assert 0.1 <= row["probability"] <= 1


def test_a_file_that_is_no_image_does_not_lose_the_others_answers(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")  # for a path in one line
    Image.new("L", (56, 56)).save(tmp_path / "black.png")
    (tmp_path / "text.png").write_text("no image")
    paths = [tmp_path / name for name in ("text.png", "black.png", "missing.png")]
    for form in ([], ["--json"]):
        result = invoke("predict", trained[0], *paths, *form)
        assert result.exit_code == 1
        first, second = result.stderr.splitlines()
        assert "text.png is not an image" in first
        assert "There is no image file" in second
        assert "blank image: nothing to read" in result.stdout or form
    rows = json.loads(result.stdout)
    assert [row.keys() & {"error", "symbol"} for row in rows] == [{"error"}, {"symbol"}, {"error"}]
    assert rows[1]["verdict"] == "blank"
    assert 0 <= rows[1]["percentile"] <= 100


@pytest.mark.parametrize("name", ["[/b].png", "[red]x[/red].png", "ü.png", "\udcff.png"])
@pytest.mark.parametrize("charset", ["ascii", "utf-8"])
def test_predict_prints_any_file_s_name(name, charset, trained, tmp_path):
    Image.new("L", (56, 56)).save(tmp_path / "black.png")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    path = (tmp_path / "black.png").rename(tmp_path / name)
    runner = CliRunner(charset=charset, env={"COLUMNS": "300"})
    result = runner.invoke(main, ["predict", str(trained[0]), str(path)])
    assert result.exit_code == 0, result.output
    assert name.encode(charset, "backslashreplace").decode(charset) in result.stdout


def test_a_warning_is_one_line(trained, tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "1.png")
    (tmp_path / "notes.txt").write_text("")
    result = invoke("ood", trained[0], "--against", tmp_path)
    assert result.exit_code == 0, result.output
    notes = tmp_path / "notes.txt"
    assert result.stderr == f"Warning: 1 files of {tmp_path} are no images that are read, as {notes}.\n"


def test_query_answers_with_deepproblog(trained):
    goal = "addition(tensor(test(0)),tensor(test(1)),tensor(test(2)))"
    answers = json.loads(invoke("query", trained[0], goal, "--json").stdout)
    assert list(answers) == [goal]
    assert 0 < answers[goal] < 1


def test_evaluate_gives_the_figures_of_the_summary(trained):
    out, summary = trained
    figures = json.loads(invoke("evaluate", out, "--json").stdout)
    assert figures == {key: summary[key] for key in figures}


def test_check_counts_solutions_and_concept_maps():
    rule = json.loads(invoke("check", "addition", "--json").stdout)
    assert rule["solutions"] == 55
    assert [variable["key"] for variable in rule["variables"]] == ["X", "Y", "Z"]
    assert sum(int(rule["example"][key]) * sign for key, sign in zip("XYZ", (1, 1, -1), strict=True)) == 0
    # the identity, and the map of every symbol to 0
    assert (rule["concept_maps"]["total"], rule["concept_maps"]["bijective"]) == (2, 1)
    assert "pins them down" in rule["verdict"]


def test_check_bounds_a_rule_and_estimates_it_without_compiling_it(tmp_path):
    exact = math.log(0.055)  # 55 of 1,000 triples
    found = json.loads(invoke("check", "addition", "--nodes", "30", "--draws", "4000", "--json").stdout)
    assert found["lower"] <= exact <= found["upper"]
    assert abs(found["log_prob"] - exact) < 4 * found["standard_error"] < 0.4
    said = " ".join(invoke("check", "sudoku", "--nodes", "1").output.split())
    assert "log P from -inf, as nothing is known yet, to" in said
    assert (
        "give --data, a table that has S" in invoke("check", "addition_sum", "--argument", "S", "--nodes", "9").output
    )
    (tmp_path / "sums.csv").write_text("X,Y,S\na.png,b.png,3\n")
    of_sum = ("check", "addition_sum", "--argument", "S", "--data", tmp_path / "sums.csv", "--nodes", "500", "--json")
    found = json.loads(invoke(*of_sum).stdout)
    assert found["lower"] == pytest.approx(found["upper"]) == pytest.approx(math.log(0.04))


def test_a_refusal_says_what_bounds_and_draws_give(monkeypatch):
    def refuse(*args, **kwargs):
        raise NoDiagram("the diagram outgrew 10 nodes")

    monkeypatch.setattr("gedi_nesy.nesy.check.check_rule", refuse)
    result = invoke("check", "addition", "--seconds", "1")
    assert result.exit_code == 1
    found = re.search(
        r"outgrew 10 nodes. In .* s of CPU time, .* nodes: \[(.*), (.*)\]; 1,000 of 1,000 draws", result.output
    )
    lower, upper = map(float, found.groups())
    assert lower == upper == pytest.approx(math.log(0.055), abs=1e-3)  # by enough nodes bounds are exact
    said = invoke("check", "addition_sum", "--argument", "S", "--seconds", "1").output
    assert "10 nodes. Bounds were not tried: The query has arguments: give --data, a table that has S." in said


def test_check_names_the_line_of_a_syntax_error(tmp_path):
    (tmp_path / "wrong.pl").write_text("nn(digits, [X], Y, [0,1]) :: digit(X,Y).\nrule(X :- digit(X,1).\n")
    result = invoke("check", tmp_path / "wrong.pl", "--query", "rule(X)")
    assert result.exit_code == 1
    assert "wrong.pl:2:6" in result.output


def test_a_program_that_loads_code_needs_trust(tmp_path):
    (tmp_path / "code.py").write_text(
        "from problog.extern import problog_export\n@problog_export('+int', '-int')\ndef twice(x):\n    return 2 * x\n"
    )
    (tmp_path / "rule.pl").write_text(
        "nn(digits, [X], Y, [0,1,2]) :: digit(X,Y).\n:- use_module('code.py').\n"
        "rule(X,Y) :- digit(X,A), twice(A,B), digit(Y,B).\nquery(rule(X,Y)).\n"
    )
    check = ["check", tmp_path / "rule.pl", "--json"]
    train = ["train", "--program", tmp_path / "rule.pl", "--dataset", "minst"]
    for command in (check, train):
        refused = invoke(*command)
        assert refused.exit_code == 1
        assert "pass trust=True, or --trust" in " ".join(refused.output.split())
    assert json.loads(invoke(*check, "--trust").stdout)["solutions"] == 2  # 0, 0 and 1, 2
    assert "did you mean 'mnist'" in invoke(*train, "--trust").output  # the rule is fine, only the data are not there


def test_sample_writes_a_picture(trained, tmp_path):
    assert invoke("sample", trained[0], "-n", 3, "--steps", 1, "--out", tmp_path / "s.png").exit_code == 0
    assert Image.open(tmp_path / "s.png").size[0] > 0


def test_ood_gives_the_auroc_of_each_score(trained):
    rows = json.loads(invoke("ood", trained[0], "--against", "noise,inverted", "--json").stdout)
    assert list(rows) == ["noise", "inverted"]
    assert rows["noise"]["images"] == 400
    assert all(0 <= rows["noise"][score] <= 1 for score in ("energy", "gradient", "max_softmax", "views"))
    assert "max softmax" in invoke("ood", trained[0], "--against", "noise").stdout


@pytest.mark.usefixtures("no_pictures")
def test_without_mnist_digits_are_used_and_nobody_can_miss_it(tmp_path, monkeypatch):
    monkeypatch.delenv("GEDI_NESY_DATA", raising=False)
    monkeypatch.setattr("gedi_nesy.data.places.cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr("gedi_nesy.data.mnist.fetch", unreachable)
    result = invoke("train", "--examples", 30, "--out", tmp_path / "run", *TINY)
    assert result.exit_code == 0, result.output
    assert "NOT MNIST" in result.output
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["dataset"] == "digits"
    assert "not MNIST" in summary["notice"]


def unreachable(root):
    raise DataUnavailable("no network")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["train", "--recipe", "papr-addition-100"], 1, "did you mean 'paper-addition-100'"),
        (["train", "--set", "train.bach=3"], 1, "did you mean 'train.batch'"),
        (["train", "--set", "seed"], 1, "not key=value"),
        (["train", "--set", "method=paper"], 1, "--set method has no place here; use --method"),
        (["train", "--set", "train.batch='20'"], 1, "train.batch = '20': input should be a valid integer"),
        (["train", "--set", "train.learning_rate='0.1'"], 1, "a number or [progress, value] points, not '0.1'"),
        (["train", "--dataset", "digits", "--program", "nowhere.pl"], 1, "nowhere.pl"),
        (["train", "--dataset", "minst"], 1, "did you mean 'mnist'"),
        (["train", "--dataset", "digits", "--examples", "5000"], 1, "more than the 1397 images"),
        (["train", "--method", "magic"], 2, "There is no method 'magic'"),
        (["train", "--examples", "0"], 2, "--examples"),
        (["train", "--resume", "x", "--seed", "3"], 2, "leave out --seed"),
        (["train", "--quick", "--method", "paper"], 2, "--method and --quick exclude each other"),
        (["train", "--recipe", "gedi-nesy", "--method", "paper"], 2, "--method and --recipe exclude each other"),
        (["train", "--set", "train.weights.prior=[300,40]"], 1, "a number or [progress, value] points"),
        (["train", "--set", "train.learning_rate=nan"], 1, "finite numbers"),
        (["train", "--set", "sampler.buffer=10"], 1, "sampler.buffer of at least as many"),
        (["train", "--resume", "nowhere"], 1, "nowhere is not a run folder"),
        (["evaluate", "nowhere"], 1, "nowhere is not a run folder"),
        (["train", "--method", "paper", "--examples", "250"], 1, "100, 1000 or 10000 examples"),
        (["train", "--data-dir", "nowhere"], 1, "nowhere"),
        (["train", "--set", "recipe=x"], 1, "--set recipe has no place here; use --recipe"),
        (["train", "--set", "out=x"], 1, "--set out has no place here; use --out"),
        (["train", "--set", "progress=x"], 1, "There is no setting 'progress'"),
        (["train", "--set", "threads=1000000"], 1, "threads = 1000000"),
        (["train", "--set", "train=5"], 1, "train = 5"),
        (["train", "--seed", "12345678901234567890"], 2, "is not in the range"),
        (["train", "--dataset", "digits", "--set", "sampler.buffer=2147483647"], 1, "make sampler.buffer smaller"),
        (["vision", "train", "--set", "recipe=x"], 1, "--set recipe has no place here"),
        (["vision", "train", "--set", "sampler.noise=inf"], 1, "finite number"),
        (["vision", "train", "--set", "train.learning_rate=-1"], 1, "weights and learning rates are 0 or more"),
        (["vision", "compare", "--seeds", "1000000000"], 2, "--seeds"),
        (["compare", "--first-seed", "12345678901234567890"], 2, "--first-seed"),
    ],
)
def test_errors_are_one_sentence(arguments, code, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments)
    assert result.exit_code == code
    assert sentence in " ".join(result.output.split())
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_checkpoint_leaves_the_run_as_it_is(trained, tmp_path):
    damaged = tmp_path / "run"
    damaged.mkdir()
    for name in ("config.toml", "program.pl"):
        (damaged / name).write_bytes((trained[0] / name).read_bytes())
    (damaged / "checkpoint.pt").write_bytes((trained[0] / "checkpoint.pt").read_bytes()[:1000])
    result = invoke("train", "--resume", damaged)
    assert result.exit_code == 1
    assert "checkpoint.pt is damaged" in " ".join(result.output.split())
    assert (damaged / "checkpoint.pt").stat().st_size == 1000


def test_the_list_of_commands_says_what_their_own_helps_begin_with():
    context = click.Context(main)
    for name in main.list_commands(context):
        assert main.get_command(context, name).help.startswith(main.summaries[name])


def test_the_list_of_commands_loads_no_torch():
    code = "import sys; from gedi_nesy.cli import main; main(['--help'], standalone_mode=False); "
    code += "sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert "Train a network from a rule" in done.stdout


def test_check_loads_no_data_sets_and_no_statistics():
    code = "import sys; from gedi_nesy.cli import main; main(['check', 'xor'], standalone_mode=False); "
    code += "sys.exit(bool({'sklearn', 'scipy.stats', 'torchvision', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
