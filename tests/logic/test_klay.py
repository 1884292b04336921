"""KLay, an independent library for circuits, evaluates the same diagrams to the same values and gradients."""

import klay
import pytest
import torch

from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.diagram import FALSE, TRUE


def in_klay(rule):
    """The rule's diagram as a KLay module: log-probabilities [batch, literals] to log P(rule) [batch]."""
    diagram, order, circuit = rule.diagram.nodes, rule.diagram.order, klay.Circuit()
    starts = [sum(len(v.domain) for v in rule.variables[:k]) + 1 for k in range(len(rule.variables))]
    nodes = {FALSE: circuit.false_node(), TRUE: circuit.true_node()}
    for node in diagram.reachable([rule.diagram.root]):
        first = starts[order[diagram.level[node]]]
        branches = [
            circuit.and_node([circuit.literal_node(first + value), nodes[child]])
            for value, child in enumerate(diagram.children[node])
            if child != FALSE
        ]
        nodes[node] = circuit.or_node(branches)
    circuit.set_root(nodes[rule.diagram.root])
    module = circuit.to_torch_module(semiring="log", compile=False)
    return lambda literals: module(literals, torch.zeros_like(literals))[:, 0]


@pytest.mark.parametrize("program", ["addition", "sorted", "xor", "addition_multi"])
def test_klay_agrees(program):
    rule = Constraint.from_file(program)
    generator = torch.Generator().manual_seed(0)
    logits = {
        v.key: (5 * torch.randn(7, len(v.domain), generator=generator, dtype=torch.double)).requires_grad_()
        for v in rule.variables
    }
    log_probs = {key: values.log_softmax(-1) for key, values in logits.items()}
    ours = rule.log_prob(log_probs)
    theirs = in_klay(rule)(torch.cat([log_probs[v.key] for v in rule.variables], 1))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=0)
    own, other = (torch.autograd.grad(x.sum(), list(logits.values()), retain_graph=True) for x in (ours, theirs))
    torch.testing.assert_close(own, other, rtol=1e-7, atol=1e-12)
