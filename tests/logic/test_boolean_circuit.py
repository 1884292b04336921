"""Circuits in files, beside sums over all assignments, KLay, and the rules that were written to files."""

import itertools

import klay
import pytest
import torch

from gedi_nesy.errors import UserError
from gedi_nesy.logic.boolean_circuit import log_of_rest, read_cnf, read_nnf, read_sdd
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.nnf_file import write_nnf

XOR = """c exactly one of 1 and 2, by a decision on 1
sdd 5
L 0 0 1
L 1 0 -1
L 2 2 2
L 3 2 -2
D 4 1 2 0 3 1 2
"""
P = torch.tensor([[0.3, 0.2], [0.9, 0.5]], dtype=torch.float64)


def test_an_sdd_by_hand_and_in_klay(tmp_path):
    (tmp_path / "xor.sdd").write_text(XOR)
    circuit = read_sdd(tmp_path / "xor.sdd")
    expected = P[:, 0] * (1 - P[:, 1]) + (1 - P[:, 0]) * P[:, 1]
    assert circuit.log_prob(P.log()).exp().tolist() == pytest.approx(expected.tolist())
    theirs = klay.Circuit()
    theirs.add_sdd_from_file(str(tmp_path / "xor.sdd"))
    module = theirs.to_torch_module(semiring="log", compile=False)
    torch.testing.assert_close(circuit.log_prob(P.log()), module(P.log(), (1 - P).log())[:, 0])


def test_gradients_of_an_sdd_are_those_of_its_polynomial(tmp_path):
    (tmp_path / "xor.sdd").write_text(XOR)
    p = P.clone().requires_grad_()
    read_sdd(tmp_path / "xor.sdd").log_prob(p.log()).exp().sum().backward()
    torch.testing.assert_close(p.grad, 1 - 2 * P.flip(1))  # d/da of a(1-b) + (1-a)b


def test_sure_inputs_have_finite_gradients(tmp_path):
    (tmp_path / "or.cnf").write_text("p cnf 2 1\n1 2 0\n")
    logits = torch.tensor([[20.0, 1.0], [40.0, -40.0], [200.0, 1.0]], requires_grad=True)
    value = read_cnf(tmp_path / "or.cnf").log_prob(torch.nn.functional.logsigmoid(logits))
    value.sum().backward()
    assert logits.grad.isfinite().all()
    assert value.abs().max() < 1e-6


def test_the_log_of_the_rest_is_precise_at_both_ends():
    p = torch.tensor([1e-12, 0.3, 0.5, 0.9, 1 - 2**-24], dtype=torch.float64)
    torch.testing.assert_close(log_of_rest(p.log()), torch.log1p(-p), rtol=1e-9, atol=0)
    tiny = torch.tensor([-1e-9])  # P = 1 - 1e-9, which float32 has not
    assert log_of_rest(tiny).item() == pytest.approx(-20.723, abs=1e-3)
    assert log_of_rest(torch.zeros(1)).item() == float("-inf")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_formula_is_the_sum_over_its_models(tmp_path, seed):
    generator = torch.Generator().manual_seed(seed)
    clauses = [
        [int(v) * int(s) for v, s in zip(torch.randperm(6, generator=generator)[:3] + 1, signs, strict=True)]
        for signs in 2 * torch.randint(2, (9, 3), generator=generator) - 1
    ]
    text = "c random 3-SAT\np cnf 6 9\n" + "".join(f"{' '.join(map(str, clause))} 0\n" for clause in clauses)
    (tmp_path / "random.cnf").write_text(text)
    p = torch.rand(4, 6, generator=generator, dtype=torch.float64)
    expected = torch.zeros(4, dtype=torch.float64)
    for model in itertools.product([False, True], repeat=6):
        if all(any(model[abs(x) - 1] == (x > 0) for x in clause) for clause in clauses):
            expected += torch.where(torch.tensor(model), p, 1 - p).prod(1)
    circuit = read_cnf(tmp_path / "random.cnf")
    assert circuit.variables == 6
    assert circuit.log_prob(p.log()).exp().tolist() == pytest.approx(expected.tolist())


@pytest.mark.parametrize("name", ["addition", "sorted", "xor"])
def test_a_rule_that_was_written_and_read_again_is_the_same(tmp_path, name):
    rule = Constraint.from_file(name)
    literals = write_nnf(rule, tmp_path / "rule.nnf")
    assert literals[0] == (rule.variables[0].key, rule.variables[0].domain[0])
    circuit = read_nnf(tmp_path / "rule.nnf")
    inputs = {v.key: torch.randn(5, len(v.domain), dtype=torch.float64).log_softmax(-1) for v in rule.variables}
    weights = torch.cat([inputs[v.key] for v in rule.variables], 1)
    assert circuit.variables == len(literals) == weights.shape[1]
    torch.testing.assert_close(circuit.log_prob(weights, torch.zeros_like(weights)), rule.log_prob(inputs))


def test_what_an_nnf_file_cannot_hold_is_refused(tmp_path):
    rule = Constraint.from_file("addition_sum", arguments=("S",))
    with pytest.raises(UserError, match="has evidence, arguments or probabilities"):
        write_nnf(rule, tmp_path / "rule.nnf")


@pytest.mark.parametrize(
    ("reader", "text", "message"),
    [
        (read_sdd, "sdd 1\nD 0 0 2 5 6\n", "is not an SDD"),
        (read_sdd, "", "is not an SDD: no line sdd"),
        (read_nnf, "nnf 1 0 1\nX 3\n", "not a circuit in .nnf form: a node X"),
        (read_cnf, "p cnf 2 1\n1 5 0\n", "literal 5 of 2 variables"),
    ],
)
def test_files_of_another_form_are_refused(tmp_path, reader, text, message):
    (tmp_path / "file").write_text(text)
    with pytest.raises(UserError, match=message):
        reader(tmp_path / "file")


def test_inputs_of_another_shape_are_refused(tmp_path):
    (tmp_path / "xor.sdd").write_text(XOR)
    with pytest.raises(UserError, match="has 2 variables"):
        read_sdd(tmp_path / "xor.sdd").log_prob(torch.zeros(1, 3))
