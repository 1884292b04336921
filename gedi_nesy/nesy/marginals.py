"""How often each symbol occurs in unbalanced data, learned from the answers that the examples give.

A rule's own marginals take all its solutions for equally likely. What a teacher sees says more. Before there is one,
the observed values of an argument do, as the sums of pairs of digits: in the model of this file each image shows a
symbol by the network's frequencies, independently of all others, and an example is kept if the rule holds. The
frequencies are fitted to the answers, and the marginals follow.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from gedi_nesy.errors import UserError
from gedi_nesy.logic.arguments import OPEN
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.ground import Key

SHARES = (0.3, 0.1, 0.03, 0.01, 0.003)  # of the pull, strong ones first, so that the fit ends in no local optimum
STEPS, TOLERANCE = 200, 3e-5  # of the fit with each share: most steps, and the change of a marginal at which it ends
VARIETY = 0.5  # share of the entropy of the rule's own marginals that marginals of skewed data keep
LEAST = 1e-6  # least frequency, so that no symbol is ruled out


@torch.no_grad()
def learn_marginals(constraint: Constraint, answers: Tensor | None, strength: float) -> dict[Key, Tensor]:
    """Each variable's marginal over the examples, fitted to their answers.

    Expectation maximisation for data that a rule has filtered: the marginals under the rule and the answers seen, with
    a pull to the rule's own, are what the frequencies must give under the rule alone (generalised iterative scaling,
    Darroch & Ratcliff 1972). Where every assignment of symbols has an answer, as with sums, one step is one of EM.
    A rule without arguments says nothing about frequencies, and its own marginals come back.

    Args:
        constraint: the rule.
        answers: the numbers of each example's arguments, int64 [N, arguments], as `Constraint.number_arguments` gives
            them.
        strength: of the pull to the rule's own marginals, as a number of examples.

    Returns:
        For each variable its marginal, [classes].

    Raises:
        UserError: an answer is impossible.
    """
    seen, counts = _counts(constraint, answers)
    every = torch.full((1, seen.shape[1]), OPEN)
    last = strength / max(strength + counts.sum().item(), LEAST)
    frequencies = {call.network: torch.ones(len(call.domain)) / len(call.domain) for call in constraint.variables}
    own = wanted = _under_rule(constraint, frequencies, every, torch.ones(1))
    for share in (*(share for share in SHARES if share > last), last):
        for _ in range(STEPS):
            before = wanted
            observed = _under_rule(constraint, frequencies, seen, counts / counts.sum())
            expected = _under_rule(constraint, frequencies, every, torch.ones(1))
            wanted = {key: share * own[key] + (1 - share) * observed[key] for key in own}
            frequencies = _scaled(constraint, frequencies, wanted, expected)
            if all((wanted[key] - before[key]).abs().max() < TOLERANCE for key in own):
                break
    return wanted


@torch.no_grad()
def marginals_of(constraint: Constraint, posteriors: Mapping[Key, Tensor], strength: float) -> dict[Key, Tensor]:
    """Each variable's marginal over the examples by a teacher's predictions.

    It is one step of expectation maximisation with a pull to the rule's own marginals. Where it would leave little
    variety, the teacher has collapsed, and the rule's own marginals are kept, so that the diagnosis can say so.

    Args:
        constraint: the rule.
        posteriors: p(y | rule, inputs) of each variable, [examples, classes], with rows of 0 where nothing is known.
        strength: of the pull, as a number of examples.

    Returns:
        For each variable its marginal, [classes].
    """
    own = constraint.marginals()
    sums = {key: strength * own[key] + rows.sum(0).to(own[key]) for key, rows in posteriors.items()}
    seen = {key: total / total.sum() for key, total in sums.items()}
    if any(torch.special.entr(seen[key]).sum() < VARIETY * torch.special.entr(own[key]).sum() for key in seen):
        return own
    return own | seen


def _counts(constraint: Constraint, answers: Tensor | None) -> tuple[Tensor, Tensor]:
    """The different answers, [answers, arguments], and in how many examples each of them is seen, [answers]."""
    if answers is None:
        return torch.empty(1, 0, dtype=torch.long), torch.ones(1)
    seen, counts = answers.cpu().unique(dim=0, return_counts=True)
    for numbers in seen:
        if not constraint.is_possible(numbers):
            row = int((answers.cpu() == numbers).all(1).nonzero()[0])
            raise UserError(f"The answer of example {row + 1} is impossible under the rule; mend it or leave it out.")
    return seen, counts.float()


def _scaled(
    constraint: Constraint,
    frequencies: Mapping[str, Tensor],
    wanted: Mapping[Key, Tensor],
    expected: Mapping[Key, Tensor],
) -> dict[str, Tensor]:
    """Each network's frequencies, nearer to the ones under which the expected marginals are the wanted ones."""
    scaled = {}
    for network, values in frequencies.items():
        keys = [call.key for call in constraint.variables if call.network == network]
        ratio = (sum(wanted[key] for key in keys) + LEAST) / (sum(expected[key] for key in keys) + LEAST)
        raised = values * ratio ** (len(keys) / len(constraint.variables))
        scaled[network] = raised / raised.sum()
    return scaled


def _under_rule(
    constraint: Constraint, frequencies: Mapping[str, Tensor], answers: Tensor, weights: Tensor
) -> dict[Key, Tensor]:
    """The marginals of symbols that have these frequencies and satisfy the rule, [classes].

    Each of the answers, [answers, arguments], counts by its weight, [answers].
    """
    inputs = {call.key: frequencies[call.network].log().expand(len(answers), -1) for call in constraint.variables}
    posteriors = constraint.posterior(inputs, answers if constraint.arguments else None)
    return {key: weights @ posterior.exp() for key, posterior in posteriors.items()}
