"""The rules we ship: their solutions counted by hand, and draws that satisfy them."""

import itertools
import math
from collections.abc import Iterable

import pytest
import torch

from gedi_nesy.logic.constraint import Constraint

SUDOKU = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]


def is_sudoku(v: dict) -> bool:
    rows, columns = [[r + c for c in "1234"] for r in "ABCD"], [[r + c for r in "ABCD"] for c in "1234"]
    blocks = [[r + c for r in rs for c in cs] for rs in ("AB", "CD") for cs in ("12", "34")]
    return all(len({v[key] for key in group}) == 4 for group in rows + columns + blocks)


RULES = [
    ("addition", (), 55, lambda v: v["X"] + v["Y"] == v["Z"]),
    ("addition_sum", ("S",), 100, lambda v: v["X"] + v["Y"] == v["S"]),
    (
        "addition_multi",
        (),
        10_000,
        lambda v: 10 * (v["X1"] + v["Y1"]) + v["X2"] + v["Y2"] == 100 * v["Z1"] + 10 * v["Z2"] + v["Z3"],
    ),
    ("less", (), 45, lambda v: v["X"] < v["Y"]),
    ("parity", (), 5_000, lambda v: sum(v.values()) % 2 == 0),
    ("xor", (), 4, lambda v: v["X"] ^ v["Y"] == v["Z"]),
    ("all_different", (), 24, lambda v: len(set(v.values())) == 4),
    ("sudoku", (), 288, is_sudoku),
    ("sorted", (), 715, lambda v: list(v.values()) == sorted(v.values())),  # 13 choose 4
    ("maximum", ("M",), 10_000, lambda v: max(v[key] for key in "ABCD") == v["M"]),
    ("formula", ("V",), 9_000, lambda v: eval("{X1}{O1}{X2}{O2}{X3}".format(**v)) == v["V"]),
]


@pytest.mark.parametrize(("name", "arguments", "count", "holds"), RULES)
def test_programs_mean_what_they_say(name: str, arguments: tuple, count: int, holds) -> None:
    rule = Constraint.from_file(name, arguments=arguments)
    assert rule.count() == count
    drawn = rule.sample(200, torch.Generator().manual_seed(0))
    domains = {v.key: v.domain for v in rule.variables}
    for i in range(200):
        assert holds({k: domains[k][values[i]] if k in domains else values[i] for k, values in drawn.items()})
    inputs = {v.key: torch.zeros(1, len(v.domain), dtype=torch.float64).log_softmax(1) for v in rule.variables}
    answers = {name: [answer[0] for answer in rule.answers] for name in arguments}
    inputs = {key: row.expand(len(rule.answers), -1) for key, row in inputs.items()}
    every = math.prod(len(v.domain) for v in rule.variables)
    assert rule.log_prob(inputs, answers or None).exp().sum().item() == pytest.approx(count / every)


@pytest.mark.parametrize(("name", "arguments", "holds"), [(name, names, holds) for name, names, _, holds in RULES])
def test_values_and_gradients_are_those_of_the_sum_over_all_solutions(name: str, arguments: tuple, holds) -> None:
    rule = Constraint.from_file(name, arguments=arguments)
    keys, domains = [v.key for v in rule.variables], [v.domain for v in rule.variables]
    worlds: Iterable[tuple] = itertools.product(*domains)
    if name == "addition_multi":
        worlds = (w for p in itertools.product(range(10), repeat=4) for w in [(*p, *_digits(p))])
    if name == "sudoku":
        two_rows = itertools.product(itertools.permutations((1, 2, 3, 4)), repeat=2)
        halves = [(*a, *b) for a, b in two_rows if len({*a[:2], *b[:2]}) == len({*a[2:], *b[2:]}) == 4]
        worlds = (upper + lower for upper, lower in itertools.product(halves, repeat=2))
    given = dict.fromkeys(arguments, 9)  # addition_sum and formula: for instance 0 + 9
    found = [world for world in worlds if holds(dict(zip(keys, world, strict=True)) | given)]
    generator = torch.Generator().manual_seed(0)
    logits = [torch.randn(3, len(d), generator=generator, dtype=torch.float64).requires_grad_() for d in domains]
    log_probs = [row.log_softmax(1) for row in logits]
    columns = zip(log_probs, domains, zip(*found, strict=True), strict=True)
    expected = sum(rows[:, [domain.index(y) for y in values]] for rows, domain, values in columns).logsumexp(1)
    inputs = dict(zip(keys, log_probs, strict=True))
    value = rule.log_prob(inputs, {argument: [9] * 3 for argument in arguments} or None)
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-9)
    ours, theirs = (torch.autograd.grad(x.sum(), logits, retain_graph=True) for x in (value, expected))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


def _digits(p: tuple) -> tuple:
    """The three digits of the sum of two numbers of two."""
    total = 10 * (p[0] + p[2]) + p[1] + p[3]
    return total // 100, total // 10 % 10, total % 10


@pytest.mark.parametrize("name", [rule[0] for rule in RULES])
def test_extreme_logits_stay_finite(name: str) -> None:
    arguments = next(names for other, names, *_ in RULES if other == name)
    rule = Constraint.from_file(name, arguments=arguments)
    generator = torch.Generator().manual_seed(0)
    logits = {
        v.key: (1e5 * torch.randn(8, len(v.domain), generator=generator)).requires_grad_() for v in rule.variables
    }
    given = {argument: [9] * 8 for argument in rule.arguments}
    value = rule.log_prob({key: row.log_softmax(1) for key, row in logits.items()}, given or None)
    value.sum().backward()
    assert value.isfinite().all()
    assert all(row.grad.isfinite().all() for row in logits.values())


def test_the_cache_returns_the_same_rule(own_rule_cache) -> None:
    fresh = Constraint.from_file("addition_multi")
    entries = set((own_rule_cache / "rules").glob("*.json"))
    again = Constraint.from_file("addition_multi")
    assert set((own_rule_cache / "rules").glob("*.json")) == entries
    inputs = {v.key: torch.randn(3, 10).log_softmax(1) for v in fresh.variables}
    assert fresh.variables == again.variables
    assert torch.equal(fresh.log_prob(inputs), again.log_prob(inputs))
    assert fresh.most_probable(inputs)[1].tolist() == again.most_probable(inputs)[1].tolist()
    for entry in entries:
        entry.write_text("{broken")
    assert Constraint.from_file("addition_multi").count() == 10_000
