"""The rules we ship: their solutions counted by hand, and draws that satisfy them."""

import math

import pytest
import torch

from gedi_nesy.nesy.constraint import Constraint

SUDOKU = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]


@pytest.mark.parametrize(
    ("name", "arguments", "count", "holds"),
    [
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
        (
            "sudoku",
            (),
            288,
            lambda v: all(
                len({v[f"{r}{c}"] for c in "1234"}) == 4 == len({v[f"{c}{r2}"] for c in "ABCD"})
                for r, r2 in zip("ABCD", "1234", strict=True)
            ),
        ),
        ("sorted", (), 715, lambda v: list(v.values()) == sorted(v.values())),  # 13 choose 4
        ("formula", ("V",), 9_000, lambda v: eval("{X1}{O1}{X2}{O2}{X3}".format(**v)) == v["V"]),
    ],
)
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
