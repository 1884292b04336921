"""Heads: what turns an encoder's features into logits."""

from torch import Tensor, nn
from torch.nn import functional as F

TEMPERATURE = 0.1  # SwAV's, of p(y|x) = softmax(cosine / temperature)


class CosineHead(nn.Module):
    """Clusters as directions: logits = cosine(features, prototype) / temperature, as SwAV has them (Caron et al. 2020).

    Args:
        features: size of the vectors it reads.
        classes: number of prototypes.
        temperature: bounds the logits, to 1 / temperature either side of 0.
    """

    def __init__(self, features: int, classes: int, temperature: float = TEMPERATURE) -> None:
        super().__init__()
        self.temperature = temperature
        self.prototypes = nn.Linear(features, classes, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Logits, [batch, classes], of features, [batch, features]."""
        directions = F.normalize(self.prototypes.weight, dim=1)
        return F.linear(F.normalize(features, dim=1), directions) / self.temperature
