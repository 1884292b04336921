import pytest
import torch
from torch.nn import functional as F

from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.marginals import learn_marginals, marginals_of

ZIPF = (1 / torch.arange(1.0, 11.0))[torch.tensor([3, 0, 7, 2, 5, 1, 9, 4, 6, 8])]
TWO = torch.tensor([1.0, 1, 1, 8, 8, 1, 1, 1, 1, 1])
BITS = "nn(bits,[X],Y,[0,1]) :: bit(X,Y). both(X,Y,S) :- bit(X,A), bit(Y,B), S is A+B. unlike(X,Y) :- bit(X,A), "
BITS += "bit(Y,B), A \\= B. at_most_one(X,Y,S) :- bit(X,A), bit(Y,B), S is A+B, S < 2."


@pytest.fixture(scope="module")
def sums():
    return Constraint.from_file("addition_sum", arguments=("S",))


def divergence(p, q):
    return (p * (p / q).log()).sum().item()


def draw(frequencies, n, seed):
    p = frequencies / frequencies.sum()
    x, y = p.multinomial(2 * n, True, generator=torch.Generator().manual_seed(seed)).view(2, n)
    return p, (x + y).tolist()


@pytest.mark.parametrize("frequencies", [ZIPF, TWO, torch.ones(10)])
@pytest.mark.parametrize(("n", "most"), [(10_000, 0.005), (1000, 0.02), (100, 0.1)])
def test_the_frequencies_of_digits_are_learned_from_sums(frequencies, n, most, sums):
    p, answers = draw(frequencies, n, seed=n)
    learned = learn_marginals(sums, sums.number_arguments({"S": answers}), strength=30)
    assert divergence(p, learned["X"]) < most
    torch.testing.assert_close(learned["X"], learned["Y"], atol=1e-3, rtol=0)


def test_by_hand():
    """Of two bits the sum is 0, 1, 2 in 16, 8 and 1 of 25 examples: each bit is 1 with probability 1 / 5."""
    rule = Constraint(BITS, query="both(X,Y,S)", arguments=("S",))
    answers = rule.number_arguments({"S": [0] * 16 + [1] * 8 + [2]})
    learned = learn_marginals(rule, answers, strength=0)
    torch.testing.assert_close(learned["X"], torch.tensor([0.8, 0.2]), atol=1e-3, rtol=0)
    own = learn_marginals(rule, answers, strength=1e9)
    torch.testing.assert_close(own["X"], torch.tensor([0.5, 0.5]), atol=1e-3, rtol=0)


def test_what_the_rule_filters_is_no_frequency():
    """Pairs with a sum below 2, the sum 0 in 9 of 15 and 1 in 6: each bit is 1 in 3 of 15 examples."""
    rule = Constraint(BITS, query="at_most_one(X,Y,S)", arguments=("S",))
    learned = learn_marginals(rule, rule.number_arguments({"S": [0] * 9 + [1] * 6}), strength=0)
    torch.testing.assert_close(learned["Y"], torch.tensor([0.8, 0.2]), atol=1e-3, rtol=0)


def test_a_rule_without_arguments_keeps_its_own_marginals(addition):
    learned = learn_marginals(addition, None, strength=1)
    for key, marginal in addition.marginals().items():
        torch.testing.assert_close(learned[key], marginal.float(), atol=1e-4, rtol=0)


def test_an_impossible_answer_is_named(sums):
    with pytest.raises(UserError, match="The answer of example 2 is impossible"):
        learn_marginals(sums, sums.number_arguments({"S": [3, 19]}), 1.0)


def test_a_teacher_that_sees_skewed_symbols_moves_the_marginals_and_a_collapsed_one_does_not():
    rule = Constraint("nn(d, [X], Y, [0, 1, 2, 3]) :: d(X, Y). any(X) :- d(X, _).", query="any(X)")
    seen = F.one_hot(torch.tensor([0] * 40 + [1] * 20 + [2] * 10 + [3] * 10), 4).float()
    (found,) = marginals_of(rule, {"X": seen}, strength=20.0).values()
    torch.testing.assert_close(found, torch.tensor([0.45, 0.25, 0.15, 0.15]))
    (kept,) = marginals_of(rule, {"X": F.one_hot(torch.zeros(1000, dtype=torch.long), 4).float()}, 20.0).values()
    torch.testing.assert_close(kept.float(), torch.full((4,), 0.25))
    (unknown,) = marginals_of(rule, {}, 20.0).values()
    torch.testing.assert_close(unknown, kept)
