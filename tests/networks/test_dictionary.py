import pytest
import torch

from gedi_nesy.networks.dictionary import Dictionary


def test_an_embedding_that_equals_an_atom_orthogonal_to_all_others_has_it_at_99_percent():
    head = Dictionary(4, 4, seed=0)
    hadamard = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    head.atoms.copy_(hadamard / 2)
    probabilities = head(3 * hadamard).softmax(-1)  # the length of an embedding says nothing
    assert probabilities.diagonal().tolist() == pytest.approx([0.99] * 4)


def test_atoms_are_fixed_signs_of_length_one_and_their_seeds():
    head = Dictionary(16, 40, seed=1)
    assert list(head.parameters()) == []
    torch.testing.assert_close(head.atoms.norm(dim=1), torch.ones(40))
    assert head.atoms.abs().unique().tolist() == [0.25]
    assert torch.equal(head.atoms, Dictionary(16, 40, seed=1).atoms)
    assert not torch.equal(head.atoms, Dictionary(16, 40, seed=2).atoms)
