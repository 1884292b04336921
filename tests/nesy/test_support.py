import json

import pytest
import torch
from click.testing import CliRunner

from gedi_nesy.cli import main
from gedi_nesy.core.objective import Diagnosis
from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.certificate import certificate, readings_seen
from gedi_nesy.nesy.labels import Labelled
from gedi_nesy.nesy.matching import Matched
from gedi_nesy.nesy.select import Selection
from gedi_nesy.nesy.support import hardly_seen, listed_support, table_support
from tests.nesy.readers import readers

EVEN_ODD = [(0, 6), (2, 8), (4, 6), (4, 8), (1, 5), (3, 7), (1, 9), (3, 9)]
PAIRS = [*EVEN_ODD, *((b, a) for a, b in EVEN_ODD)]


@pytest.fixture(scope="module")
def sums():
    return Constraint.from_file("addition_sum", arguments=("S",))


@pytest.fixture
def even_odd(tmp_path):
    """The pairs of rsbench's MNIST-EvenOdd."""
    path = tmp_path / "pairs.csv"
    path.write_text("X,Y,S\n" + "".join(f"{x},{y},{x + y}\n" for x, y in PAIRS))
    return path


def test_check_counts_the_maps_of_even_odd(even_odd):
    """36 maps of ten digits into ten; rsbench's README prints 49, which is 7 x 7 for 6 x 6, with a digit 10."""
    result = CliRunner().invoke(
        main, ["check", "addition_sum", "--argument", "S", "--support", str(even_odd), "--json"]
    )
    found = json.loads(result.output)
    assert (found["concept_maps"]["total"], found["concept_maps"]["bijective"]) == (36, 2)
    assert "only the 16 in" in found["in_plain_words"][0]


def test_a_table_of_sums_holds_the_solutions_with_these_sums(sums, tmp_path):
    path = tmp_path / "sums.csv"
    path.write_text("X,Y,S\na.png,b.png,0\nc.png,d.png,2\ne.png,f.png,0\n")
    support = table_support(path, sums)
    found = set(zip(support["X"].tolist(), support["Y"].tolist(), support["S"], strict=True))
    assert found == {(0, 0, 0), (0, 2, 2), (1, 1, 2), (2, 0, 2)}


def test_a_table_says_nothing_of_a_rule_without_arguments(addition, tmp_path):
    with pytest.raises(UserError, match="has no arguments, so a table of images says nothing"):
        table_support(tmp_path / "any.csv", addition)


def test_a_symbol_that_the_rule_does_not_have_is_named_with_its_line(sums, tmp_path):
    path = tmp_path / "wrong.csv"
    path.write_text("X,Y,S\n1,2,3\n1,ten,3\n")
    with pytest.raises(UserError, match="line 3: 'ten' is no symbol of Y"):
        listed_support(path, sums)


def test_one_label_settles_the_second_reading_of_even_odd(sums, even_odd):
    support = listed_support(even_odd, sums)
    assert readings_seen(sums, support) == 2
    three = Labelled(torch.zeros(1, 1, 28, 28), torch.tensor([3]), 10)
    assert readings_seen(sums, support, {"digits": three}) == 1
    assert readings_seen(sums, None) is None


def test_a_symbol_that_is_read_as_another_one_is_hardly_seen(addition, loader):
    assert hardly_seen(readers(list(range(10))).networks(0), addition, loader) == []
    assert hardly_seen(readers([0, 1, 2, 3, 4, 5, 6, 7, 3, 9]).networks(0), addition, loader) == ["8"]
    good, matched = {"digits": Diagnosis(0.01, 0.0, 0.0, 2.3, ())}, Matched(0.1, 0.2, 1, "shape")
    found = certificate(good, matched, None, 1, {}, rare=["8"])
    assert (found["certified"], found["failures"]) == (False, ["symbols that hardly occur: 8"])


@pytest.mark.parametrize(("margin", "seen", "certified"), [(0.2, 2, True), (None, 2, False), (None, 1, True)])
def test_a_second_reading_of_the_examples_needs_a_clear_lead(margin, seen, certified):
    good = {"digits": Diagnosis(0.01, 0.0, 0.0, 2.3, ())}
    matched = None if margin is None else Matched(0.1, margin, 1, "shape")
    agreed = Selection([1.0, 1.0], 0, [1.0, 0.99], [0, 1])
    found = certificate(good, matched, agreed, 1, {}, seen)
    assert (found["certified"], found["readings_seen"]) == (certified, seen)
    assert found["failures"] == ([] if certified else ["symbols that the examples can't tell apart"])


def test_a_badly_trained_rival_settles_no_second_reading():
    good = {"digits": Diagnosis(0.01, 0.0, 0.0, 2.3, ())}
    found = [
        certificate(good, Matched(0.1, 0.0, 1, "shape"), Selection([0.1, 0.7], 0, [1.0, 0.1], [0]), 1, {}, seen)
        for seen in (1, 2, None)
    ]
    assert [one["rival_lead"] for one in found] == [pytest.approx(0.6)] * 3
    assert [one["failures"] for one in found] == [[], ["symbols that the examples can't tell apart"], []]
