"""Random programs against ProbLog's own compiler; compiled sizes that must grow linearly."""

import random

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from problog import get_evaluatable
from problog.program import PrologString

from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.program import find_program


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
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
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


def random_neural_program(seed: int) -> tuple[str, list, list, tuple]:
    """Rules over neural and plain choices, stratified: what is negated lies in a layer below.

    Returns the text; for each choice its key or None, its probabilities or number of values, and the atom each value
    makes true; for each rule its head, the choice it depends on or None, and its signed body; the evidence or ().
    """
    draw = random.Random(seed)
    lines, choices = random_choices(draw)
    atoms = [atom for _, _, made in choices for atom in made if atom]
    rules, below = [], list(atoms)
    for layer in range(3):
        heads = [f"r{layer}_{i}" for i in range(draw.randint(1, 2))]
        for head in heads * 2:
            negated = [(False, atom) for atom in below]
            body = [
                draw.choice([*((True, atom) for atom in below + heads), *negated]) for _ in range(draw.randint(1, 3))
            ]
            guard = len(choices) if draw.random() < 0.2 else None
            if guard is not None:
                choices.append((None, [0.4, 0.6], [None, None]))
            rules.append((layer, head, guard, body))
            text = ", ".join(atom if sign else f"\\+{atom}" for sign, atom in body)
            lines.append(f"{'' if guard is None else '0.4 :: '}{head} :- {text}.")
        below += heads
    evidence = (draw.choice(below), draw.random() < 0.5) if draw.random() < 0.4 else ()
    lines += [f"evidence({evidence[0]}, {str(evidence[1]).lower()})."] if evidence else []
    return "\n".join([*lines, "query(r2_0)."]), choices, rules, evidence


def random_choices(draw: random.Random) -> tuple[list[str], list]:
    """The neural and the plain choices of a random program, and their text."""
    lines, choices = [], []
    for i in range(draw.randint(1, 2)):
        lines.append(f"nn(net, [x{i}]) :: f{i}.")
        choices.append((("net", f"x{i}"), 2, [None, f"f{i}"]))
    lines.append("nn(tri, [z], Y, [a,b,c]) :: t(Y).")
    choices.append((("tri", "z"), 3, ["t(a)", "t(b)", "t(c)"]))
    for i, p in enumerate(draw.sample([0.3, 0.5, 1.0, 0.0], draw.randint(0, 2))):
        lines.append(f"{p} :: g{i}.")
        choices.append((None, [p, 1 - p], [f"g{i}", None]))
    if draw.random() < 0.5:
        lines.append("0.2 :: h0; 0.5 :: h1.")
        choices.append((None, [0.2, 0.5, 0.3], ["h0", "h1", None]))
    return lines, choices


def brute_force(choices: list, rules: list, evidence: tuple, inputs: dict) -> torch.Tensor:
    """P(r2_0 | evidence), a sum over all worlds; layer by layer, each up to its least fixed point."""
    sizes = [n if isinstance(n, int) else len(n) for _, n, _ in choices]
    worlds = torch.cartesian_prod(*(torch.arange(n) for n in sizes)).view(-1, len(sizes))
    weight = torch.ones(len(worlds), dtype=torch.float64)
    true: dict = {}
    for (key, shares, made), values in zip(choices, worlds.T, strict=True):
        weight = weight * (inputs[key][0].exp() if key else torch.tensor(shares, dtype=torch.float64))[values]
        for value, atom in enumerate(made):
            if atom:
                true[atom] = values == value
    true |= {head: torch.zeros(len(worlds), dtype=torch.bool) for _, head, _, _ in rules}
    for layer in range(3):
        for _ in range(2):  # as many as a layer has heads
            for of, head, guard, body in rules:
                if of == layer:
                    holds = torch.stack([true[atom] == sign for sign, atom in body]).all(0)
                    true[head] = true[head] | (holds if guard is None else holds & (worlds[:, guard] == 0))
    seen = true[evidence[0]] == evidence[1] if evidence else torch.ones(len(worlds), dtype=torch.bool)
    return weight[true["r2_0"] & seen].sum() / weight[seen].sum()


@pytest.mark.filterwarnings("ignore:r2_0 is impossible")
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**9))
def test_random_neural_programs_agree_with_brute_force(seed: int) -> None:
    text, choices, rules, evidence = random_neural_program(seed)
    generator = torch.Generator().manual_seed(seed)
    logits = {key: torch.randn(1, n, generator=generator).double().requires_grad_() for key, n, _ in choices if key}
    log_probs = {key: row.log_softmax(1) for key, row in logits.items()}
    expected = brute_force(choices, rules, evidence, log_probs)
    if expected.isnan():
        with pytest.raises(UserError, match="evidence is impossible"):
            Constraint(text)
        return
    rule = Constraint(text)
    value = rule.log_prob({v.key: log_probs[v.key] for v in rule.variables})
    assert value.exp().item() == pytest.approx(expected.item(), abs=1e-9)
    if expected > 0:
        ours, theirs = (
            torch.autograd.grad(x, list(logits.values()), retain_graph=True, allow_unused=True, materialize_grads=True)
            for x in (value[0], expected.log())
        )
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("digits", [2, 8])
def test_multi_digit_addition_grows_linearly(digits: int) -> None:
    names = [
        ",".join(f"{letter}{i}" for i in range(n)) for letter, n in (("X", digits), ("Y", digits), ("Z", digits + 1))
    ]
    rule = Constraint.from_file(
        "addition_multi", query="addition([{}],[{}],[{}])".format(*names), max_nodes=2_000 * digits
    )
    assert rule.count() == 100**digits
    assert rule.diagram.size < 35 * digits


def test_xor_grows_linearly() -> None:
    text = find_program("parity").read_text()
    rule = Constraint(text, query=f"parity([{','.join(f'X{i}' for i in range(40))}], 1)")
    assert rule.count() == 10**40 // 2
    assert rule.diagram.size == 79
