"""What a rule can teach, in plain words."""

import pytest

from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.explain import explain

BITS = "nn(bits,[X],Y,[0,1]) :: bit(X,Y).\n"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("r(X,Y) :- bit(X,0), bit(Y,1).", "names its symbols: no other names fit all its solutions."),
        # 0 + 0 = 0 fits all three images, and so does calling everything 0
        ("r(X,Y,Z) :- bit(X,A), bit(Y,B), C is A+B, bit(Z,C).", "for example with 0 and 1 read as 0"),
        ("r(X,Y) :- bit(X,A), bit(Y,B), A =\\= B.", "for example with 0 read as 1, 1 read as 0"),
    ],
)
def test_other_readings_are_shown(rule, words):
    query = rule.partition(" :-")[0]
    assert words in " ".join(explain(Constraint(BITS + rule, query).diagnose()))


def test_what_the_prior_settles_and_what_would_settle_the_rest():
    settled = explain(Constraint.from_file("addition").diagnose())
    assert "0, 1, 2, ... and 9 all read as 0" in settled[0]
    assert "then only the true fit" in settled[1]
    left = explain(Constraint.from_file("all_different").diagnose())
    assert "These it can't tell apart: digits: 0, 1, 2 and 3." in left[1]
    assert "a second query" in left[2]
    assert left[3] == "3 labelled images, one each of 0, 1, 2 of digits, would settle it (--labels)."


# Four digits whose sum is even: 0, 2, ... can take each other's place, so can 1, 3, ..., and the even ones that of the
# odd ones. So all but one of either kind are needed, and one label of the even ones rules out the exchange, too.
# Digits in order allow no other bijection. Digits whose sum is 5 allow any order of the pairs 0 5, 1 4, 2 3 and both
# orders within each: a label of one digit of each pair is needed. All by brute force over the 720 bijections.
@pytest.mark.parametrize(
    ("rule", "labels"),
    [
        ("r(W,X,Y,Z) :- d(W,A), d(X,B), d(Y,C), d(Z,D), 0 is (A+B+C+D) mod 2.", ["0", "1", "2", "3"]),
        ("r(X,Y) :- d(X,A), d(Y,B), A < B.", []),
        ("r(X,Y) :- d(X,A), d(Y,B), 5 is A+B.", ["0", "1", "2"]),
        ("r(X,Y) :- d(X,A), d(Y,A).", ["0", "1", "2", "3", "4"]),
    ],
)
def test_the_fewest_labels_that_settle_a_rule(rule, labels):
    program = f"nn(digits,[X],Y,[0,1,2,3,4,5]) :: d(X,Y).\n{rule}"
    found = Constraint(program, rule.partition(" :-")[0]).diagnose()
    assert [str(symbol) for symbol in found.labels.get("digits", ())] == labels
    if labels:
        assert f"{len(labels)} labelled images, one each of {', '.join(labels)} of digits" in explain(found)[-1]


def test_one_label_settles_two_bits():
    found = Constraint(f"{BITS}r(X,Y) :- bit(X,A), bit(Y,B), A =\\= B.", "r(X,Y)").diagnose()
    assert found.labels == {"bits": (0,)}
    assert explain(found)[-1] == "One labelled image, of 0 of bits, would settle it (--labels)."
