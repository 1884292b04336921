"""The accuracy of a network with labels, on the same inputs and views: the ceiling of what a rule can teach it."""

import torch
from torch import Tensor
from torch.nn import functional as F

from gedi_nesy.networks.own import network_factory
from gedi_nesy.views.choose import View

BATCH, LEARNING_RATE, WEIGHT_DECAY = 60, 1e-3, 1e-2


def teach(network: str, x: Tensor, targets: Tensor, view: View, steps: int, seed: int) -> torch.nn.Module:
    """A network that was taught the targets by AdamW with a cosine, in eval mode.

    Args:
        network: its name.
        x: inputs, float [n, ...].
        targets: a distribution over symbols for each, [n, classes]: labels as one-hot rows, or what matching says.
        view: drawn afresh for each batch.
        steps: of the optimiser.
        seed: of weights, batches and views.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    net = network_factory(network)(tuple(x.shape[1:]), targets.shape[1])
    optimiser = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        rows = torch.randint(len(x), (BATCH,), generator=generator)
        loss = F.cross_entropy(net(view(x[rows], generator)), targets[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


@torch.no_grad()
def accuracy(net: torch.nn.Module, x: Tensor, labels: Tensor) -> float:
    """The share of inputs, [n, ...], whose class, [n], is the network's first choice."""
    return (net(x).argmax(1) == labels).float().mean().item()
