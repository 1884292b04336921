"""More rounds of restarts where the first one's best finds nobody who agrees with it."""

import pytest
import torch
from safetensors.torch import load_file

from gedi_nesy.errors import UserError
from gedi_nesy.nesy import session
from gedi_nesy.nesy.phases import list_phases
from gedi_nesy.nesy.recipe import load_recipe
from gedi_nesy.nesy.select import Judged, choose
from gedi_nesy.nesy.train import resume, train

RECIPE = "gedi-nesy-restarts"
# Each restart learns a probability of its own, which must outlive its networks.
NOISY = """nn(digits,[X],D,[0,1,2,3,4,5,6,7,8,9]) :: digit(X,D).
t(0.2)::slip.
sum(X,S) :- digit(X,S), \\+slip.
sum(X,S) :- digit(X,D), slip, S is D+1.
query(sum(X,S)).
"""
TINY = {
    "dataset": "digits",
    "arguments": ["S"],
    "examples": 20,
    "restarts": 2,
    "views": 1,
    "log_every": 1,
    "checkpoint_seconds": 0.0,
    "train.steps": 2,
    "student.steps": 2,
    "student.weights.gen": 0.0,
    "student.weights.energy_l2": 0.0,
}
FIRST, SECOND = ["train 1", "train 2"], ["round 2 train 1", "round 2 train 2"]
NEVER, ALWAYS = 1.1, 0.0  # shares of images on which no restarts agree, and on which any do


def read_as(*symbols, nll):
    """Restarts that read two images with certainty, one list of symbols for each."""
    posterior = torch.eye(3)[torch.tensor(symbols)]  # [restarts, 2 images, 3 classes]
    return Judged(nll, {"X": posterior}, [{"restart": torch.tensor(value)} for value in nll])


def test_the_best_of_all_rounds_is_chosen():
    recipe = load_recipe(RECIPE, {"views": 1})
    first = read_as([0, 0], [1, 1], nll=[0.5, 0.6])
    second = read_as([2, 1], [2, 1], nll=[0.3, 0.2])
    assert choose(first, recipe)[0].support == 0.0
    both = first.joined(second)
    selection, targets = choose(both, recipe)
    assert selection.nll == [0.5, 0.6, 0.3, 0.2]
    assert (selection.best, selection.support, selection.kept) == (3, 1.0, [2, 3])
    assert selection.agreement == [0.0, 0.5, 1.0, 1.0]
    assert both.rules[selection.best]["restart"] == torch.tensor(0.2)
    assert targets["X"].tolist() == [[0, 0, 1], [0, 1, 0]]


def test_a_restart_of_the_first_round_may_be_confirmed_by_the_second():
    both = read_as([2, 1], [1, 1], nll=[0.1, 0.6]).joined(read_as([0, 0], [2, 1], nll=[0.5, 0.2]))
    selection, _ = choose(both, load_recipe(RECIPE, {"views": 1}))
    assert (selection.best, selection.agreed, selection.kept) == (0, True, [0, 3])


def test_later_rounds_draw_other_seeds_and_leave_those_of_the_others_alone():
    seeds = {n: [phase.seed for phase in list_phases(load_recipe(RECIPE, {"seed": 7, "rounds": n}))] for n in (1, 3)}
    assert seeds[1] == [7 * 3, 7 * 3 + 1, 7 * 3 + 2]  # two cycles and a student
    first, later, student = seeds[3][:2], seeds[3][2:6], seeds[3][6:]
    assert first + student == seeds[1]
    kept_by_torch = {seed % 2**32 for seed in later}
    assert len(kept_by_torch) == 4
    assert min(kept_by_torch) >= 2**31


@pytest.mark.parametrize(
    ("recipe", "overrides", "sentence"),
    [
        ("gedi-nesy-few", {"rounds": 2}, r"\[matching\] gives the restarts of every round the same symbols"),
        (RECIPE, {"restarts": 1, "student": None}, r"rounds > 1 needs a \[student\]"),
    ],
)
def test_rounds_that_would_change_nothing_are_refused(recipe, overrides, sentence):
    with pytest.raises(UserError, match=sentence) as found:
        load_recipe(recipe, overrides)
    assert "\n" not in str(found.value)


class Killed(Exception):
    """Stands for whatever ends a process."""


def kill_in(stage):
    """A progress that ends the process after the stage's last step, before that is saved."""

    def stop(row):
        if (row["stage"], row["step"]) == (stage, 2):
            raise Killed

    return stop


@pytest.fixture
def run_tiny(tmp_path, monkeypatch):
    """Trains in a folder of this name, where restarts agree on so many images."""
    (tmp_path / "noisy.pl").write_text(NOISY)
    monkeypatch.setattr(session, "draw_pictures", lambda *of_the_run: None)

    def run_tiny(name, agreed, **more):
        monkeypatch.setattr("gedi_nesy.nesy.select.AGREED", agreed)
        settings = TINY | {"program": str(tmp_path / "noisy.pl")} | more
        return train(RECIPE, out=tmp_path / name, notify=lambda notice: None, **settings)

    return run_tiny


def test_a_second_round_killed_anywhere_ends_as_an_unbroken_one(run_tiny, tmp_path, monkeypatch):
    later, logger = {}, session.Logger

    def spy(stage, steps, left, *rest):
        later[stage] = left
        return logger(stage, steps, left, *rest)

    monkeypatch.setattr(session, "Logger", spy)
    whole = run_tiny("whole", NEVER)
    assert [row["stage"] for row in whole.folder.read_metrics()][::2] == [*FIRST, *SECOND, "student"]
    assert later == dict(zip([*FIRST, *SECOND, "student"], [4, 2, 4, 2, 0], strict=True))  # none that may never come
    assert whole.summary["steps"] == 10
    assert len(set(whole.summary["restarts"]["nll"])) == 4  # no network is trained twice

    with pytest.raises(Killed):
        run_tiny("killed", NEVER, progress=kill_in(FIRST[-1]))
    for stage in (*SECOND, "student"):
        with pytest.raises(Killed):
            resume(tmp_path / "killed", progress=kill_in(stage))
    assert_same(resume(tmp_path / "killed"), whole)


def test_a_clear_first_round_is_the_only_one(run_tiny, tmp_path):
    single = run_tiny("single", ALWAYS, rounds=1)
    with pytest.raises(Killed):
        run_tiny("clear", ALWAYS, rounds=3, progress=kill_in("student"))
    clear = resume(tmp_path / "clear")
    assert clear.summary["steps"] == 6
    assert_same(clear, single)


def assert_same(run, other):
    """Of two runs: the weights and learned probabilities, the rows and what the restarts came to, to the last bit."""
    weights, others = (load_file(each.folder / "model.safetensors") for each in (run, other))
    assert all(torch.equal(weights[name], others[name]) for name in others)
    rows, other_rows = ([(row["stage"], row["loss"]) for row in each.folder.read_metrics()] for each in (run, other))
    assert rows == other_rows
    assert run.summary["restarts"] == other.summary["restarts"]
