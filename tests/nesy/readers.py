"""Networks that stand in for trained ones: they read the digit that a flat image's brightness encodes."""

import torch
from torch import nn

from gedi_nesy.nesy.candidates import Candidates, Shape


class Reader(nn.Module):
    """Stands in for a trained network: reads the digit that an image's brightness encodes, and renames it."""

    def __init__(self, names, sharpness=8.0):
        super().__init__()
        self.names, self.sharpness = torch.tensor(names), nn.Parameter(torch.tensor(sharpness))

    def forward(self, images):
        digits = (images.mean((1, 2, 3)) * 10).round().long().clamp(0, 9)
        return self.sharpness * torch.eye(10)[self.names[digits]]


def readers(*names):
    """Candidates made of readers, one for each list of names."""
    candidates = Candidates({"digits": Shape(10)}, len(names), seed=0)
    for k, own in enumerate(names):
        candidates.nets[k] = nn.ModuleDict({"digits": Reader(own)})
    return candidates
