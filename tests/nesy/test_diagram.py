"""Random programs against ProbLog's own compiler; compiled sizes that must grow linearly."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from problog import get_evaluatable
from problog.program import PrologString

from gedi_nesy.errors import UserError
from gedi_nesy.nesy.constraint import Constraint
from gedi_nesy.nesy.program import find_program


def random_program(seed: int) -> str:
    """Facts, annotated disjunctions with and without a body, rules with negation and cycles, evidence."""
    draw = random.Random(seed)
    atoms = [f"f{i}" for i in range(draw.randint(1, 4))]
    lines = [f"{draw.choice(['0.3', '0.5', '1/4', '0.0', '1.0', '0.999'])} :: {atom}." for atom in atoms]
    for i in range(draw.randint(0, 2)):
        shares = [draw.random() for _ in range(draw.randint(2, 4))]
        heads = [
            f"{int(1000 * s / sum(shares)) / 1000} :: a{i}_{j}" for j, s in enumerate(shares[: draw.randint(2, 3)])
        ]
        body = draw.choice(["", f" :- {draw.choice(atoms)}", f" :- \\+{draw.choice(atoms)}"])
        lines.append("; ".join(heads) + body + ".")
        atoms += [f"a{i}_{j}" for j in range(len(heads))]
    heads = [f"r{i}" for i in range(draw.randint(1, 5))]
    for head in heads:
        for _ in range(draw.randint(1, 3)):
            literals = [*heads, *atoms, *(f"\\+{atom}" for atom in atoms)]
            body = ", ".join(draw.choice(literals) for _ in range(draw.randint(1, 3)))
            lines.append(f"{draw.choice(['', '', '', '0.4 :: '])}{head} :- {body}.")
    lines += [f"evidence({draw.choice(atoms + heads)}, {draw.choice(['true', 'false'])})."] * draw.randint(0, 1)
    return "\n".join([*lines, f"q :- {draw.choice(['', chr(92) + '+'])}r0.", "query(q)."])


@pytest.mark.filterwarnings("ignore:q is impossible")
@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**9))
def test_random_programs_agree_with_problog(seed: int) -> None:
    program = random_program(seed)
    try:
        (expected,) = get_evaluatable().create_from(PrologString(program)).evaluate().values()
    except Exception:  # ProbLog's own word for impossible evidence differs by where it notices
        with pytest.raises(UserError, match="evidence is impossible"):
            Constraint(program)
        return
    assert Constraint(program).log_prob({}).exp().item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("digits", [2, 8])
def test_multi_digit_addition_grows_linearly(digits: int) -> None:
    names = [
        ",".join(f"{letter}{i}" for i in range(n)) for letter, n in (("X", digits), ("Y", digits), ("Z", digits + 1))
    ]
    rule = Constraint.from_file("addition_multi", query="addition([{}],[{}],[{}])".format(*names))
    assert rule.count() == 100**digits
    assert rule._compiled.size < 70 * digits
    assert len(rule._compiled.diagram) < 2_000 * digits  # nodes made on the way


def test_xor_grows_linearly() -> None:
    text = find_program("parity").read_text()
    rule = Constraint(text, query=f"parity([{','.join(f'X{i}' for i in range(40))}], 1)")
    assert rule.count() == 10**40 // 2
    assert rule._compiled.size == 79
