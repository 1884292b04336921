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
    assert "an image is known to show 0" in left[2]
