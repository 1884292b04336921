"""Rules of every shape through training: small, on real digits, no image of which is labelled for the networks."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from gedi_nesy.core.energy_check import EnergyCheck
from gedi_nesy.core.objective import Diagnosis
from gedi_nesy.data.scale import SCALES
from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.batch import Loader, predict, rule_log_prob
from gedi_nesy.nesy.candidates import Candidates, Shape
from gedi_nesy.nesy.certificate import certificate, readings
from gedi_nesy.nesy.examples import Examples
from gedi_nesy.nesy.inputs import Inputs
from gedi_nesy.nesy.matching import Matched
from gedi_nesy.nesy.picture import draw_samples
from gedi_nesy.nesy.recipe import load_recipe
from gedi_nesy.nesy.run import load_run
from gedi_nesy.nesy.select import Selection
from gedi_nesy.nesy.train import resume, train
from gedi_nesy.runs.callbacks import Interrupted
from tests.nesy.readers import Reader

DIGIT = "nn(digits,[X],Y,[0,1,2,3,4,5,6,7,8,9]) :: digit(X,Y).\n"
# The sum is told, now and then one too large.
NOISY = f"""{DIGIT}t(0.1) :: slip.
sum(X,Y,S) :- digit(X,A), digit(Y,B), \\+slip, S is A+B.
sum(X,Y,S) :- digit(X,A), digit(Y,B), slip, S is A+B+1.
query(sum(X,Y,S)).
"""
# Three networks: one of digits, one that says of an image whether its digit is odd, one that compares two images.
THREE = f"""{DIGIT}nn(odd,[X]) :: odd(X).
nn(less,[X,Y],Z,[no,yes]) :: less(X,Y,Z).
checked(X) :- digit(X,A), 1 is A mod 2, odd(X).
checked(X) :- digit(X,A), 0 is A mod 2, \\+odd(X).
compared(X,Y) :- digit(X,A), digit(Y,B), A < B, less(X,Y,yes).
compared(X,Y) :- digit(X,A), digit(Y,B), A >= B, less(X,Y,no).
rule(X,Y,S) :- checked(X), checked(Y), compared(X,Y), digit(X,A), digit(Y,B), S is A+B.
query(rule(X,Y,S)).
"""
RECIPE = "gedi-nesy-restarts"
TINY = {
    "dataset": "digits",
    "arguments": ["S"],
    "examples": 40,
    "restarts": 2,
    "views": 1,
    "log_every": 3,
    "checkpoint_seconds": 0.0,
    "train.steps": 6,
    "student.steps": 6,
    "student.weights.gen": 0.0,
    "student.weights.energy_l2": 0.0,
}


def train_text(text, folder, **overrides):
    (folder / "rule.pl").write_text(text)
    settings = TINY | {"program": str(folder / "rule.pl")} | overrides
    return train(RECIPE, out=folder / "run", notify=lambda notice: None, **settings)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    return train_text(NOISY, tmp_path_factory.mktemp("noisy"))


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    settings = {"student.weights.gen": 1.0, "sampler.chains": 4, "sampler.buffer": 8, "sampler.steps": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gedi_nesy.nesy.results.draw_pictures", lambda *of_the_run: None)  # they take a minute
        return train_text(THREE, tmp_path_factory.mktemp("three"), **settings)


def test_a_probability_is_learned_from_how_often_the_fact_shows():
    """Images that are read without error, and three in ten sums one too large."""
    rule, n = Constraint(NOISY, arguments=("S",)), 200
    a, b = torch.randint(10, (2, n), generator=torch.Generator().manual_seed(0))
    pool = (torch.arange(10) * 25.5).round().to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 28, 28)
    sums = [int(s) + (i % 10 < 3) for i, s in enumerate(a + b)]
    examples = Examples(Inputs.of_pool(pool, {"X": a, "Y": b}), rule.number_arguments({"S": sums}), {}, True)
    batch = Loader(examples, rule, SCALES["unit"], torch.device("cpu")).batch(torch.arange(n))
    candidates = Candidates({"digits": Shape(10)}, 2, seed=0, rule=rule)
    for nets in candidates.nets:
        nets["digits"] = Reader(range(10), sharpness=30.0)
    logits = batch.by_variable(predict(candidates, batch))
    log_probs = {key: values.detach().log_softmax(-1) for key, values in logits.items()}
    optimizer = torch.optim.Adam(candidates.own_rules.parameters(), 0.1)
    for _ in range(100):
        loss = -rule_log_prob(candidates.rules(rule), log_probs, batch.answers).mean(1).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    learned = [own.weights.probabilities() for own in candidates.rules(rule)]
    assert learned == [[pytest.approx(0.3, abs=1e-3)]] * 2
    assert rule.weights.probabilities() == [pytest.approx(0.1)]  # the program's own stay as they were


def test_learned_probabilities_are_saved_and_used(noisy):
    ((name, learned),) = noisy.summary["probabilities"].items()
    assert name == "slip"
    assert learned != pytest.approx(0.1, abs=1e-6)
    loaded = load_run(noisy.folder.path)
    assert loaded.probabilities == {name: learned}
    images = loaded.images().x_test[:2]
    log_probs = loaded.log_probs(images).split(1)
    inputs = dict(zip("XY", log_probs, strict=True))
    answers = loaded.query("sum(tensor(test(0)),tensor(test(1)),7)")
    assert list(answers.values()) == [pytest.approx(loaded.constraint.log_prob(inputs, {"S": [7]}).exp().item(), 1e-5)]


@pytest.mark.usefixtures("no_pictures")
def test_a_stopped_run_repeats_its_probabilities_though_the_program_has_changed(noisy, tmp_path):
    def stop_in_the_student(row):
        if row["stage"] == "student":
            raise KeyboardInterrupt

    (tmp_path / "rule.pl").write_text(NOISY)
    with pytest.raises(Interrupted):
        train(
            RECIPE, out=tmp_path / "run", progress=stop_in_the_student, **TINY | {"program": str(tmp_path / "rule.pl")}
        )
    (tmp_path / "rule.pl").write_text("no program at all")
    resumed = resume(tmp_path / "run")
    whole = load_file(noisy.folder / "model.safetensors")
    again = load_file(resumed.folder / "model.safetensors")
    assert "rule.weights.logits.0" in whole
    assert all(torch.equal(whole[name], again[name]) for name in whole)


@pytest.mark.usefixtures("no_pictures")
def test_a_run_folder_holds_what_its_program_loads_and_its_program_loads_nothing_else(tmp_path):
    (tmp_path / "facts").mkdir()
    (tmp_path / "facts" / "odd.pl").write_text("odd(1). odd(3).")
    text = f"{DIGIT}:- consult('facts/odd.pl').\nrule(X) :- digit(X,A), odd(A).\nquery(rule(X)).\n"
    folder = train_text(text, tmp_path, arguments=[]).folder
    (tmp_path / "facts" / "odd.pl").unlink()
    assert load_run(folder.path).constraint.count() == 2
    config = (folder / "config.toml").read_text()
    (tmp_path / "outside.pl").write_text("odd(5).")
    for program, load in [("/outside.pl", str(tmp_path / "outside.pl")), (f"{tmp_path}/x.pl", "outside.pl")]:
        folder.write("config.toml", config.replace(str(tmp_path / "rule.pl"), program))
        folder.write("program.pl", text.replace("facts/odd.pl", load))
        with pytest.raises(UserError, match=r"pass trust=True|outside.pl can't be read: No such file"):
            load_run(folder.path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\xff\xfe", "no text in UTF-8"), (None, "is a link to another file"), (b"a :- b(.", "Unmatched character")],
)
def test_a_damaged_program_of_a_run(noisy, tmp_path, content, message):
    folder = shutil.copytree(noisy.folder.path, tmp_path / "copy")
    (folder / "program.pl").unlink()
    if content is None:
        (folder / "program.pl").symlink_to("/dev/zero")
    else:
        (folder / "program.pl").write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_run(folder)


@pytest.mark.usefixtures("no_pictures")
def test_a_run_that_loads_code_needs_trust_each_time(tmp_path):
    code = (
        "from problog.extern import problog_export\n@problog_export('+int', '-int')\ndef twice(x):\n    return 2 * x\n"
    )
    (tmp_path / "code.py").write_text(code)
    text = (
        f"{DIGIT}:- use_module('code.py').\ndouble(X,Y) :- digit(X,A), twice(A,B), digit(Y,B).\nquery(double(X,Y)).\n"
    )
    run = train_text(text, tmp_path, arguments=[], trust=True)
    with pytest.raises(UserError, match="pass trust=True, or --trust"):
        load_run(run.folder.path)
    assert load_run(run.folder.path, trust=True).constraint.count() == 5  # 0 to 4, and their doubles


def test_networks_share_images_and_read_several_at_once(three):
    assert set(three.networks) == {"digits", "odd", "less"}
    images = three.images().x_test
    inputs = {("digits", k): three.log_probs(images[i : i + 1], "digits") for i, k in enumerate("XY")}
    inputs |= {("odd", k): three.log_probs(images[i : i + 1], "odd") for i, k in enumerate("XY")}
    inputs["less", "X", "Y"] = three.log_probs(images[:2].view(1, 2, 28, 28), "less")
    answers = three.query("rule(tensor(test(0)),tensor(test(1)),7)")
    assert list(answers.values()) == [pytest.approx(three.constraint.log_prob(inputs, {"S": [7]}).exp().item(), 1e-4)]
    assert three.predict(images[:4].view(2, 2, 28, 28), "less")[0] in ("no", "yes")
    assert three.sample(2, steps=1, network="less").shape == (2, 2, 28, 28)
    draw_samples(three, three.folder / "samples-less.png", 2, steps=1, network="less")


def test_only_what_labels_name_is_scored(three):
    """No label says whether a network's `yes` is right; the rule's satisfaction does."""
    assert 0 <= three.summary["accuracy"] <= 1
    assert "networks" not in three.summary
    assert set(three.summary["certificate"]["networks"]) == {"digits", "odd", "less"}


@pytest.mark.usefixtures("no_pictures")
def test_a_formula_of_digits_and_operators_trains(tmp_path):
    settings = TINY | {"program": "formula", "arguments": ["V"], "dataset": "digits+operators"}
    run = train(RECIPE, out=tmp_path / "run", **settings)
    assert run.summary["dataset"] == "digits+operators"
    assert set(run.summary["networks"]) == {"digits", "operators"}
    assert run.predict(torch.zeros(1, 28, 28, dtype=torch.uint8), "operators")[0] in ("+", "-", "*")


@pytest.mark.parametrize(
    ("name", "prior", "expected"), [("addition", 40.0, 1), ("addition", 0.0, 2), ("all_different", 40.0, 24)]
)
def test_a_rule_with_two_readings_is_known_for_it(name, prior, expected):
    recipe = load_recipe(RECIPE, {"train.weights.prior": prior})
    assert readings(Constraint.from_file(name), recipe) == expected


def test_a_search_for_readings_that_was_cut_short_settles_nothing(monkeypatch):
    monkeypatch.setattr("gedi_nesy.nesy.certificate.SECONDS", 0.0)
    assert readings(Constraint.from_file("addition_multi"), load_recipe(RECIPE)) is None
    good, matched = {"digits": Diagnosis(0.01, 0.0, 0.0, 2.3, ())}, Matched(energy=-1.0, margin=0.5, chains=3)
    assert certificate(good, matched, None, 1, {})["certified"]
    unsettled = certificate(good, matched, None, None, {})
    assert not unsettled["certified"]
    assert unsettled["failures"] == ["readings of the rule not settled"]


@pytest.mark.parametrize(
    ("margin", "agreement", "reason"),
    [
        (0.05, None, None),
        (0.03, [1.0, 1.0], "no clear lead of the symbols found by shape"),  # restarts taught by matching prove nothing
        (None, [1.0, 1.0], "matching found no alternative to compare with"),
        ("no matching", [1.0, 0.98], None),
        ("no matching", [0.9, 1.0], "restarts that disagree"),
    ],
)
def test_a_run_that_is_not_certified_says_what_speaks_against_it(margin, agreement, reason):
    good = {"digits": Diagnosis(0.01, 0.0, 0.0, 2.3, ())}
    matched = None if margin == "no matching" else Matched(energy=-1.0, margin=margin, chains=3)
    best = agreement.index(1.0) if agreement else 0
    selection = Selection([1.0, 1.0], best, agreement, [0, 1]) if agreement else None
    found = certificate(good, matched, selection, 1, {})
    assert (found["certified"], found["failures"]) == (reason is None, [reason] if reason else [])


@pytest.mark.parametrize(("nll", "certified"), [([0.5, 0.65], True), ([0.5, 0.55], False), ([0.5], False)])
def test_symbols_without_a_clear_lead_are_settled_by_a_network_that_learned_others(nll, certified):
    good = {"digits": Diagnosis(0.01, 0.0, 0.0, 2.3, ())}
    matched = Matched(energy=-1.0, margin=0.01, chains=3)
    selection = Selection(nll, best=0, agreement=[1.0, 0.5][: len(nll)], kept=[0])
    found = certificate(good, matched, selection, 1, {})
    assert found["certified"] == certified
    assert bool(found["failures"]) != certified
    assert found["rival_lead"] == (pytest.approx(nll[1] - nll[0]) if len(nll) > 1 else None)


def test_symbols_that_likeness_hardly_separates_are_doubted():
    good = {"digits": Diagnosis(0.01, 0.0, 0.0, 2.3, ())}
    matched = Matched(energy=-1.0, margin=0.5, chains=3, likeness="features", separation=0.3)
    assert certificate(good, matched, None, 1, {}, separation=0.2)["certified"]
    doubted = certificate(good, matched, None, 1, {}, separation=0.4)
    assert doubted["failures"] == ["features that hardly separate the symbols"]


def test_a_single_restart_without_matching_is_no_evidence():
    found = certificate({"digits": Diagnosis(0.01, 0.0, 0.0, 2.3, ())}, None, None, 1, {})
    assert not found["certified"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            DIGIT + "nn(net,[X,left],Y,[a,b]) :: p(X,Y). rule(X) :- digit(X,0), p(X,a).",
            "calls net on left, which is no image",
        ),
        ("nn(net,[X,Y],Z,[0,1]) :: p(X,Y,Z). rule(X) :- p(X,X,1).", "No network reads image X alone"),
        ("nn(type,[X],Z,[0,1]) :: p(X,Z). rule(X) :- p(X,0).", "network called type"),
        ("nn(net,[X],Z,[0,one]) :: p(X,Z). rule(X) :- p(X,0).", "symbol one is not a class of the images"),
        (DIGIT + "nn(digits,[X],Y,[a,b]) :: p(X,Y). rule(X,Y) :- digit(X,0), p(Y,a).", "symbol a is not a class"),
        (DIGIT + "nn(digits,[X],Y,[1,0]) :: p(X,Y). rule(X,Y) :- digit(X,0), p(Y,1).", "different symbols"),
    ],
)
def test_what_cannot_be_trained_is_said(text, sentence, tmp_path):
    query = "rule(X,Y)" if "rule(X,Y)" in text else "rule(X)"
    with pytest.raises(UserError, match=sentence):
        train_text(text, tmp_path, query=query, arguments=[])


def test_a_run_without_its_program_is_refused(noisy, tmp_path):
    (tmp_path / "config.toml").write_bytes((noisy.folder / "config.toml").read_bytes())
    with pytest.raises(UserError, match=r"program\.pl can't be read"):
        load_run(tmp_path)


def test_candidates_without_probabilities_share_the_rule():
    rule = Constraint.from_file("addition")
    candidates = Candidates({"digits": Shape(10)}, 3, seed=0)
    assert candidates.rules(rule) == [rule]
    assert not list(candidates.own_rules)


def test_energies_that_do_not_model_the_images_withhold_the_certificate():
    good, matched = {"digits": Diagnosis(0.01, 0.0, 0.0, 2.3, ())}, Matched(energy=-1.0, margin=0.5, chains=3)
    run_away = EnergyCheck(-47.0, 0.02, 0.9, 2.27, ("symbols of samples unlike those of the data",))
    found = certificate(good, matched, None, 1, {"digits": run_away})
    assert not found["certified"]
    assert found["failures"] == ["symbols of samples unlike those of the data"]
    figures = "energy_gap", "sample_variety", "missing_symbols", "sample_distance"
    assert tuple(found[name] for name in figures) == (-47.0, 0.02, 0.9, 2.27)
