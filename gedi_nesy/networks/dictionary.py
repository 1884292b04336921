"""A fixed overcomplete dictionary as the head of a network: features are learned by choosing among random atoms."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CERTAIN = 0.99  # the probability of an atom that an embedding equals, where it is orthogonal to all others


class Dictionary(nn.Module):
    """logits = cosine(embedding, atom) / temperature, for atoms of random signs that are never learned.

    With more atoms than dimensions L_INV and L_PRIOR alone teach features: to use all atoms evenly and with certainty,
    embeddings have to fill all dimensions (CPLearn, Sansone, Lebailly & Tuytelaars 2025).

    Args:
        dim: of the embeddings.
        atoms: their number, the classes of L_INV and L_PRIOR.
        seed: of the signs.
    """

    atoms: Tensor

    def __init__(self, dim: int, atoms: int, seed: int) -> None:
        super().__init__()
        signs = torch.randint(2, (atoms, dim), generator=torch.Generator().manual_seed(seed)) * 2.0 - 1
        self.register_buffer("atoms", signs / math.sqrt(dim))
        self.temperature = 1 / math.log(CERTAIN / (1 - CERTAIN) * (atoms - 1))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Logits: [..., batch, dim] -> [..., batch, atoms]."""
        return F.linear(F.normalize(embeddings, dim=-1), self.atoms) / self.temperature
