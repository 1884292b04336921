"""Features of pictures by GEDI's own losses on a fixed dictionary: L_INV among crops, and L_PRIOR over atoms."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gedi_nesy.core.fit import Training
from gedi_nesy.core.losses import negative_entropy_loss
from gedi_nesy.core.losses.crops import crops_loss
from gedi_nesy.core.objective import Objective
from gedi_nesy.core.schedule import Schedule
from gedi_nesy.networks.dictionary import Dictionary
from gedi_nesy.views.crops import LARGE_AND_SMALL, Crops, several_crops

FLIP, JITTER, GREY = 0.5, 0.8, 0.2  # SimCLR's
PRIOR = Schedule.of([[0.0, 2.0], [1.0, 1.0]])  # while it weighs as much as L_INV or more, no constant attracts
BATCH_NORM = 0.03  # momentum: each pass sees one kind of crops


class FeatureNetwork(nn.Module):
    """An encoder, a projector with batch norm, and a fixed dictionary.

    Args:
        encoder: pictures of any side to features, [batch, C, H, W] -> [batch, features].
        features: their number.
        dim: of the embeddings, and of the projector's hidden layers.
        atoms: of the dictionary.
        bf16: whether the encoder computes in bfloat16 in training, where torch's autocast sees fit.
        seed: of the dictionary's signs; the weights are drawn as torch draws them.
    """

    def __init__(
        self, encoder: nn.Module, features: int, dim: int = 2048, atoms: int = 4096, bf16: bool = False, seed: int = 0
    ) -> None:
        super().__init__()
        self.encoder, self.bf16 = encoder, bf16
        self.projector = nn.Sequential(
            *(nn.Linear(features, dim, bias=False), nn.BatchNorm1d(dim), nn.ReLU()),
            *(nn.Linear(dim, dim, bias=False), nn.BatchNorm1d(dim, affine=False)),
        )
        self.dictionary = Dictionary(dim, atoms, seed)
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.momentum = BATCH_NORM

    def forward(self, kinds: Sequence[Tensor]) -> Tensor:
        """log p(atom | crop), [views, batch, atoms], of crops of each kind, [count, batch, C, H, W]."""
        with torch.autocast(kinds[0].device.type, torch.bfloat16, enabled=self.bf16 and self.training):
            features = [self.encoder(kind.flatten(0, 1)).float() for kind in kinds]
        logits: Tensor = self.dictionary(self.projector(torch.cat(features)))
        return logits.log_softmax(-1).unflatten(0, (-1, kinds[0].shape[1]))


class FeatureLosses:
    """L_INV and L_PRIOR of a step, by the step's number.

    L_PRIOR is the negative entropy of the mean prediction: a batch has fewer crops than a cross-entropy of all atoms
    would need.

    Args:
        images: uint8 [n, C, H, W], on the device.
        training: whose model is a FeatureNetwork.
        batch: images of a step.
        plan: their crops.
    """

    def __init__(self, images: Tensor, training: Training, batch: int, plan: Sequence[Crops] = LARGE_AND_SMALL) -> None:
        self.images, self.training, self.batch, self.plan = images, training, batch, plan
        self.objective = Objective({"inv": 1.0, "prior": PRIOR}, optima={"inv": 0.0})

    def __call__(self, step: int) -> dict[str, Tensor]:
        """The losses by term name."""
        generator, device = self.training.generator, self.images.device
        rows = torch.randint(len(self.images), (self.batch,), generator=generator, device=device)
        changes = {"flip": FLIP, "jitter": JITTER, "grey": GREY}
        crops = several_crops(self.images[rows] / 255, self.plan, generator, **changes)
        log_probs = self.training.model([2 * kind - 1 for kind in crops])
        return {"inv": crops_loss(log_probs), "prior": negative_entropy_loss(log_probs.flatten(0, 1))}


@torch.no_grad()
def features_of(network: FeatureNetwork, images: Tensor, part: int = 500) -> Tensor:
    """The encoder's outputs for whole pictures, uint8 [n, C, H, W] -> float32 [n, features]; in eval mode."""
    device = network.dictionary.atoms.device
    return torch.cat([network.encoder(some.to(device) / 127.5 - 1) for some in images.split(part)])
