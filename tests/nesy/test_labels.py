"""A few labels beside a rule that has two readings."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gedi_nesy.core.objective import Diagnosis
from gedi_nesy.data.scale import SCALES
from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.certificate import certificate, named_by_labels, readings
from gedi_nesy.nesy.examples import Examples
from gedi_nesy.nesy.inputs import Inputs
from gedi_nesy.nesy.labels import Labelled, read_labels
from gedi_nesy.nesy.matching import match
from gedi_nesy.nesy.naming import TOLD
from gedi_nesy.nesy.recipe import load_recipe
from gedi_nesy.nesy.select import Selection
from gedi_nesy.nesy.settle import weigh_labels

PARITY = "nn(bit,[X],Y,[even,odd]) :: bit(X,Y).\nsame(X,Y,1) :- bit(X,A), bit(Y,A).\n"
PARITY += "same(X,Y,0) :- bit(X,A), bit(Y,B), A \\= B.\n"
GOOD = {"bit": Diagnosis(0.01, 0.0, 0.0, 0.69, ())}


@pytest.fixture(scope="module")
def rule():
    return Constraint(PARITY, query="same(X,Y,S)", arguments=("S",))


@pytest.fixture(scope="module")
def centres():
    return 3.0 * torch.randn(2, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def loader(rule, centres):
    """Forty pairs of vectors around two centres."""
    generator = torch.Generator().manual_seed(0)
    symbols = torch.randint(2, (2, 40), generator=generator)
    pool = centres[symbols.flatten()] + 0.3 * torch.randn(80, 8, generator=generator)
    rows = {"X": torch.arange(40), "Y": torch.arange(40, 80)}
    answers = rule.number_arguments({"S": (symbols[0] == symbols[1]).long().tolist()})
    examples = Examples(Inputs.of_pool(pool, rows), answers, {"X": symbols[0], "Y": symbols[1]}, False)
    return Loader(examples, rule, SCALES["unit"], torch.device("cpu"))


@pytest.mark.parametrize("names", [[0, 1], [1, 0]])
def test_labelled_inputs_are_matched_by_their_features_too(rule, loader, centres, names):
    noise = torch.randn(loader.examples.pool.shape, generator=torch.Generator().manual_seed(2))
    inputs = loader.examples.inputs
    examples = replace(loader.examples, inputs=Inputs.of_pool(noise, inputs.rows))
    examples = replace(examples, features=dict.fromkeys("XY", loader.examples.pool))
    by_features = Loader(examples, rule, SCALES["unit"], torch.device("cpu"))
    labels = {"bit": Labelled(torch.zeros(2, 8), torch.tensor(names), 2, centres)}
    recipe = load_recipe("gedi-nesy-few", {"matching.chains": 16, "matching.sweeps": 15})
    matched, (targets, *_) = match(rule, by_features, recipe, labels=labels)
    assert targets["X"].argmax(1).tolist() == torch.tensor(names)[loader.examples.symbols["X"]].tolist()
    assert matched.told > TOLD
    for features, has in ((None, "none"), (centres[:, :5], "vectors of 5")):
        labels = {"bit": replace(labels["bit"], features=features)}
        with pytest.raises(UserError, match=rf"Inputs are matched by features, .* labelled ones have {has}"):
            match(rule, by_features, recipe, labels=labels)


def test_names_that_only_labels_give_need_likeness_to_be_certified(rule, centres):
    labels = {"bit": Labelled(centres, torch.tensor([0, 1]), 2)}
    recipe = load_recipe("gedi-nesy-restarts")
    assert named_by_labels(rule, recipe, labels)
    assert not named_by_labels(rule, recipe, {})
    selection = Selection([0.5, 0.5], 0, [1.0, 1.0], [0, 1])
    doubt = "symbols that only labels tell apart, and no likeness measures how well"
    assert certificate(GOOD, None, selection, 1, {}, named=True)["failures"] == [doubt]
    assert certificate(GOOD, None, selection, 1, {})["certified"]


@pytest.mark.parametrize("names", [[0, 1], [1, 0]])
def test_one_label_a_class_says_which_reading_is_meant(rule, loader, centres, names):
    labels = {"bit": Labelled(centres, torch.tensor(names), 2)}
    recipe = load_recipe("gedi-nesy-few", {"matching.chains": 16, "matching.sweeps": 15})
    matched, (targets, *_) = match(rule, loader, recipe, labels=labels)
    meant = torch.tensor(names)[loader.examples.symbols["X"]]
    assert targets["X"].argmax(1).tolist() == meant.tolist()
    assert matched.separation > 0.9
    assert 0.2 < matched.margin < 1  # others chains are trapped
    assert readings(rule, recipe, labels) == 1
    assert readings(rule, recipe) == 2


def test_where_all_chains_agree_the_lead_is_that_over_random_symbols_and_a_single_chain_has_none(rule, loader, centres):
    labels = {"bit": Labelled(centres, torch.tensor([0, 1]), 2)}
    for chains, margin in ((3, 1.0), (1, None)):
        recipe = load_recipe("gedi-nesy-few", {"matching.chains": chains, "matching.sweeps": 15})
        matched, _ = match(rule, loader, recipe, labels=labels)
        assert (matched.chains, matched.margin) == (chains, margin)


def test_labels_are_read_from_arrays_and_wrong_ones_are_named(rule, loader, tmp_path):
    path = tmp_path / "labels.npz"
    np.savez(path, image=np.ones((2, 8)), symbol=["odd", "even"])
    labels = read_labels(path, rule, loader.readings)
    assert labels["bit"].symbols.tolist() == [1, 0]
    np.savez(path, image=np.ones((2, 8)), symbol=["odd", "nine"])
    with pytest.raises(UserError, match=r"row 2: 'nine' is no symbol of bit, which has even, odd"):
        read_labels(path, rule, loader.readings)
    np.savez(path, image=np.ones((2, 7)), symbol=["odd", "even"])
    with pytest.raises(UserError, match=r"image is \[2, 7\]; give a vector of 8 numbers for each of the 2 symbols"):
        read_labels(path, rule, loader.readings)


def test_labels_get_a_weight_and_make_the_student_sure_where_the_recipe_says_nothing():
    recipe = weigh_labels(load_recipe("gedi-nesy", {"labels": "few.csv"}))
    assert [stage.weights.labels(0.0) for stage in (recipe.train, recipe.student)] == [25.0, 25.0]
    assert recipe.train.weights.inv.is_zero
    assert [recipe.student.weights.inv(progress) for progress in (0.0, 0.5, 1.0)] == [0.0, 0.0, 20.0]
    own = load_recipe("gedi-nesy", {"labels": "few.csv", "student.weights.labels": 3.0})
    assert weigh_labels(own) == own
    assert weigh_labels(load_recipe("gedi-nesy")).student.weights.inv.is_zero


def found(rule, loader, inputs, symbols):
    labels = {"bit": Labelled(inputs, torch.tensor(symbols), 2)}
    recipe = load_recipe("gedi-nesy-few", {"matching.chains": 16, "matching.sweeps": 15})
    return match(rule, loader, recipe, labels=labels)[0]


def test_typical_labels_tell_symbols_apart_and_odd_ones_do_not(rule, loader, centres):
    clear = found(rule, loader, centres, [0, 1])
    assert clear.told > 2 * TOLD
    assert list(clear.hardly_told) == []
    middle = centres.mean(0) + 0.02 * (centres - centres.mean(0))  # hardly liker to one centre than to the other
    odd = found(rule, loader, middle, [0, 1])
    assert odd.told < TOLD
    assert list(odd.hardly_told) == ["even", "odd"]
    assert certificate(GOOD, clear, None, 1, {})["certified"]
    assert certificate(GOOD, odd, None, 1, {})["failures"] == ["labels that hardly tell even from odd"]


def test_what_two_labels_say_is_their_sum_over_the_root_of_two(rule, loader, centres):
    one = found(rule, loader, centres, [0, 1]).told
    assert found(rule, loader, centres.repeat(2, 1), [0, 1, 0, 1]).told == pytest.approx(2**0.5 * one, rel=0.05)


def test_a_rule_that_names_its_symbols_needs_none(loader, centres):
    names = Constraint(
        "nn(bit,[X],Y,[0,1]) :: bit(X,Y). total(X,Y,S) :- bit(X,A), bit(Y,B), S is A+B.", "total(X,Y,S)", ("S",)
    )
    symbols = loader.examples.symbols
    answers = names.number_arguments({"S": (symbols["X"] + symbols["Y"]).tolist()})
    examples = replace(loader.examples, answers=answers)
    summed = Loader(examples, names, SCALES["unit"], torch.device("cpu"))
    assert found(names, summed, centres, [0, 1]).told is None
