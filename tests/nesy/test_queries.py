"""Several queries of one program in one run: each example belongs to one of them, and all teach the networks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file

from gedi_nesy.cli import main
from gedi_nesy.data.scale import SCALES
from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.program import Source
from gedi_nesy.nesy.batch import Loader, rule_log_prob, rule_posterior
from gedi_nesy.nesy.certificate import over_queries
from gedi_nesy.nesy.joint import JointLoader, information
from gedi_nesy.nesy.losses import network_log_prior
from gedi_nesy.nesy.queries import Queries, ask, join, split
from gedi_nesy.nesy.recipe import load_recipe
from gedi_nesy.nesy.run import load_run
from gedi_nesy.nesy.table import examples_of_each, numbered, read_examples
from gedi_nesy.nesy.train import resume, train
from gedi_nesy.runs.callbacks import Interrupted

# A digit, or the sum of two, is told; now and then one too large.
TEXT = """nn(digits,[X],Y,[0,1,2,3,4,5,6,7,8,9]) :: digit(X,Y).
t(0.1) :: slip.
told(X,S) :- digit(X,A), \\+slip, S is A.
told(X,S) :- digit(X,A), slip, S is A+1.
sum(X,Y,S) :- digit(X,A), digit(Y,B), \\+slip, S is A+B.
sum(X,Y,S) :- digit(X,A), digit(Y,B), slip, S is A+B+1.
"""
QUERIES = ["told(X,S)", "sum(X,Y,S)"]
TINY = {
    "query": QUERIES,
    "arguments": ["S"],
    "dataset": "digits",
    "examples": 41,
    "restarts": 2,
    "views": 1,
    "log_every": 3,
    "checkpoint_seconds": 0.0,
    "train.steps": 4,
    "train.prior": "learned",
    "student.steps": 4,
    "student.weights.gen": 0.0,
    "student.weights.energy_l2": 0.0,
}


def source(text):
    return Source(text, "sums.pl", Path())


@pytest.fixture(scope="module")
def rule():
    return ask(source(TEXT), QUERIES, ("S",))


def pictures(n):
    return torch.arange(n, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 28, 28)


@pytest.fixture
def joint(rule):
    """Six examples of the first query and three of the second."""
    data = [{"X": pictures(6), "S": [1, 2, 3, 4, 5, 6]}, {"X": pictures(3), "Y": 9 + pictures(3), "S": [7, 8, 9]}]
    examples = examples_of_each(rule, numbered(data))
    parts = zip(examples, rule.parts, strict=True)
    return JointLoader([Loader(*own, SCALES["unit"], torch.device("cpu")) for own in parts])


def train_on_queries(folder, out, **overrides):
    program = folder / "sums.pl"
    program.write_text(TEXT)
    settings = TINY | {"program": str(program)} | overrides
    return train("gedi-nesy-restarts", out=out, notify=lambda text: None, **settings)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("queries")
    return train_on_queries(folder, folder / "run")


def test_each_query_has_the_arguments_that_it_names():
    rule = ask(source(TEXT), ["told(X,D)", "sum(X,Y,S)"], ("S", "D"))
    assert [part.arguments for part in rule.parts] == [("D",), ("S",)]
    assert [variable.key for variable in rule.variables] == [(0, "X"), (1, "X"), (1, "Y")]


def test_an_argument_of_no_query_is_refused():
    with pytest.raises(UserError, match=r"argument Z is no variable of the queries told\(X,S\); sum\(X,Y,S\)"):
        ask(source(TEXT), QUERIES, ("S", "Z"))


def test_a_single_query_of_a_list_is_a_query_and_the_same_twice_is_refused():
    assert load_recipe("gedi-nesy", {"query": ["told(X,S)"]}).query == "told(X,S)"
    with pytest.raises(UserError, match="none of them twice"):
        load_recipe("gedi-nesy", {"query": ["told(X,S)", "told(X, S)"]})


def test_the_queries_learn_the_same_probability(rule):
    first, second = rule.parts
    with torch.no_grad():
        first.weights.logits[0].copy_(torch.tensor([2.0, 0.0]))
    assert second.weights.probabilities() == first.weights.probabilities()
    assert len(list(rule.parameters())) == 1
    with torch.no_grad():
        first.weights.logits[0].copy_(torch.tensor([0.1, 0.9]).log())


def test_values_by_query_come_back_joined(rule):
    values = {(0, "X"): 1, (1, "X"): 2, (1, "Y"): 3}
    assert split(rule, values) == [{"X": 1}, {"X": 2, "Y": 3}]
    assert join(rule, split(rule, values)) == values


def test_a_batch_has_each_query_by_its_share_and_an_epoch_each_example_once(joint):
    steps = [joint.step_rows(3, step, seed=0) for step in range(3)]
    assert sorted(torch.cat(steps).tolist()) == list(range(9))
    for rows in steps:
        batch = joint.batch(rows)
        assert [len(batch.rows[key]) for key in batch.keys["digits"]] == [2, 1, 1]
        assert len(batch.images["digits"]) == 2 + 1 + 1
    later = [joint.step_rows(3, step, seed=0) for step in range(3, 6)]
    assert not torch.equal(torch.cat(steps), torch.cat(later))


def test_a_query_with_few_examples_is_in_every_batch(joint):
    for step in range(9):
        batch = joint.batch(joint.step_rows(1, step, seed=0))
        assert all(len(rows) for rows in batch.rows.values())


def test_a_batch_has_the_images_and_answers_of_its_examples(joint):
    batch = joint.batch(torch.arange(len(joint)))
    shown = (batch.images["digits"][:, 0, 0, 0] * 255).round().tolist()
    assert shown == [0, 1, 2, 3, 4, 5, 0, 1, 2, 9, 10, 11]
    first, second = (part.answers for part in joint.parts)
    assert torch.equal(batch.answers[0], first)
    assert torch.equal(batch.answers[1], second)


def test_the_first_examples_are_of_all_queries(joint):
    assert [len(part) for part in joint.some(3).parts] == [2, 1]
    assert [len(part) for part in joint.some(1).parts] == [1, 1]


def test_likelihood_and_posterior_are_those_of_each_query(rule, joint):
    generator = torch.Generator().manual_seed(0)
    batch = joint.batch(torch.arange(len(joint)))
    outputs = {"digits": torch.randn(2, 12, 10, generator=generator).log_softmax(-1)}
    log_probs = batch.by_variable(outputs)
    values = rule_log_prob([rule], log_probs, batch.answers)
    posteriors = rule_posterior([rule], log_probs, batch.answers)
    expected = []
    for number, (part, loader) in enumerate(zip(rule.parts, joint.parts, strict=True)):
        own = {key: values[0] for key, values in split(rule, log_probs)[number].items()}
        expected.append(part.log_prob(own, loader.answers))
        exact = part.posterior(own, loader.answers)
        assert all(torch.allclose(posteriors[number, key][0], exact[key].exp(), atol=1e-6) for key in own)
    assert values.shape == (2, 9)
    assert torch.allclose(values[0], torch.cat(expected))


def test_the_prior_of_a_network_weighs_each_variable_by_its_examples():
    marginals = {(0, "X"): torch.tensor([1.0, 0.0]), (1, "X"): torch.tensor([0.5, 0.5])}
    prior = network_log_prior(marginals, {(0, "X"): 1, (1, "X"): 3}).exp()
    assert prior.tolist() == pytest.approx([(1 + 3 * 0.5) / 4, 3 * 0.5 / 4], abs=1e-3)


def test_the_query_that_says_most_of_each_input_is_matched(rule, joint):
    first, second = (information(*pair) for pair in zip(rule.parts, joint.parts, strict=True))
    assert first == pytest.approx(np.log(10), rel=1e-3)  # an answer 1 to 9 has probability .1, with a slip or without
    assert 0 < second < first


@pytest.mark.parametrize(("counts", "left"), [([1, 5], 1), ([None, 3], 3), ([None, None], None), ([2, 2], 2)])
def test_what_one_query_settles_is_settled(rule, counts, left):
    assert over_queries(rule, counts) == left


def test_readings_of_networks_that_no_query_has_together_multiply():
    text = "nn(a,[X],Y,[0,1]) :: a(X,Y). nn(b,[X],Y,[0,1]) :: b(X,Y). p(X) :- a(X,1). q(X) :- b(X,1)."
    rule = Queries([Constraint(text, "p(X)"), Constraint(text, "q(X)")])
    assert over_queries(rule, [2, 3]) == 6
    assert over_queries(rule, [None, 3]) is None


@pytest.fixture
def table(tmp_path):
    for k in range(3):
        Image.new("L", (28, 28), 20 * k).save(tmp_path / f"{k}.png")
    return tmp_path / "table.csv"


def read(table, rule):
    return read_examples(load_recipe("gedi-nesy", {"data": str(table)}), rule, table.parent)


def test_a_line_of_a_table_belongs_to_the_query_whose_columns_it_fills(table, rule):
    table.write_text("X,Y,S\n0.png,,3\n1.png,2.png,12\n2.png,,5\n")
    first, second = read(table, rule)
    assert (first.lines, second.lines) == ((2, 4), (3,))
    assert [rule.parts[0].answer_of(row) for row in first.answers] == [(3,), (5,)]
    assert [rule.parts[1].answer_of(row) for row in second.answers] == [(12,)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("X,Y,S\n0.png,,3\n1.png,2.png,\n", r"line 3: of the queries' columns X, Y are filled; fill X, S or X, Y, S"),
        ("X,Y,S\n0.png,,3\n", r"no example of sum\(X,Y,S\): no line fills X, Y, S"),
        ("X,S\n0.png,3\n", r"has no column 'Y': its first line must name X, S, Y"),
    ],
)
def test_a_table_that_fits_no_query_is_refused(table, rule, text, message):
    table.write_text(text)
    with pytest.raises(UserError, match=message):
        read(table, rule)


def test_queries_with_the_same_variables_have_no_common_table(table):
    rule = ask(source("nn(d,[X],Y,[0,1]) :: d(X,Y). p(X) :- d(X,1). q(X) :- d(X,0)."), ["p(X)", "q(X)"], ())
    table.write_text("X\n0.png\n")
    with pytest.raises(UserError, match="Two queries have the same variables"):
        read(table, rule)


def test_data_for_one_query_of_two_are_refused(rule):
    with pytest.raises(UserError, match=r"The data have nothing for told\(X,S\): give a mapping for each query"):
        examples_of_each(rule, {"X": pictures(2), "S": [1, 2]})


def test_a_run_on_two_queries_learns_from_both_and_scores_each(trained):
    assert (trained.recipe.query, trained.recipe.examples) == (tuple(QUERIES), 41)
    own = trained.summary["queries"]
    assert list(own) == ["told(X,S)", "sum(X,Y,S)"]
    assert all(0 <= figures["answer_accuracy"] <= 1 for figures in own.values())
    total = sum(figures["examples"] for figures in own.values())
    mean = sum(figures["examples"] * figures["answer_accuracy"] for figures in own.values()) / total
    assert trained.summary["answer_accuracy"] == pytest.approx(mean)
    assert set(trained.probabilities) == {"slip"}
    assert not trained.summary["images_reused"]


def test_a_run_on_two_queries_is_loaded_and_evaluated_again(trained):
    loaded = load_run(trained.folder.path)
    assert [str(part.query.goal) for part in loaded.rule.parts] == ["told(X,S)", "sum(X,Y,S)"]
    assert loaded.probabilities == trained.probabilities
    assert loaded.evaluate()["queries"] == trained.summary["queries"]
    assert "told(X,S); sum(X,Y,S)" in repr(loaded)


@pytest.mark.usefixtures("no_pictures")
def test_a_stopped_run_on_two_queries_ends_with_the_same_weights(trained, tmp_path):
    def stop_in_the_student(row):
        if row["stage"] == "student":
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        train_on_queries(tmp_path, tmp_path / "run", progress=stop_in_the_student)
    resumed = resume(tmp_path / "run")
    whole, again = (load_file(run.folder / "model.safetensors") for run in (trained, resumed))
    assert all(torch.equal(whole[name], again[name]) for name in whole)


@pytest.mark.usefixtures("no_pictures")
def test_own_arrays_for_each_query_train_and_are_matched_by_one(tmp_path):
    digits = np.random.default_rng(0).integers(0, 256, (24, 28, 28)).astype(np.uint8)
    data = [{"X": digits[:12], "S": [3] * 12}, {"X": digits[12:], "Y": digits[:12], "S": [9] * 12}]
    (tmp_path / "sums.pl").write_text(TEXT)
    few = {"matching.chains": 4, "matching.sweeps": 2, "train.steps": 2, "student.steps": 2, "sampler.steps": 1}
    told = []
    settings = few | {"program": str(tmp_path / "sums.pl"), "query": QUERIES, "arguments": ["S"]}
    run = train("gedi-nesy-few", data=data, out=tmp_path / "run", notify=told.append, **settings)
    assert "Inputs are matched by 12 examples of told(X,S); then all 24 examples train the networks." in told
    assert run.summary["matched_query"] == "told(X,S)"
    assert run.evaluate()["queries"]["sum(X,Y,S)"]["examples"] == 12


def test_the_command_takes_several_queries(tmp_path):
    queries = [part for query in QUERIES for part in ("--query", query)]
    (tmp_path / "sums.pl").write_text(TEXT)
    command = ["train", "--program", str(tmp_path / "sums.pl"), *queries, "--argument", "Z", "--dataset", "digits"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert "argument Z is no variable of the queries told(X,S); sum(X,Y,S)" in result.output
