import pytest
import torch
from torch import nn

from gedi_nesy.data.scale import SCALES
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.candidates import Candidates
from gedi_nesy.nesy.constraint import Constraint
from gedi_nesy.nesy.examples import draw_examples

DIGITS = tuple("0123456789")


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
    candidates = Candidates({"digits": 10}, len(names), seed=0)
    for k, own in enumerate(names):
        candidates.nets[k] = nn.ModuleDict({"digits": Reader(own)})
    return candidates


@pytest.fixture(scope="session")
def addition():
    return Constraint.from_file("addition")


@pytest.fixture
def loader(addition):
    """Forty examples whose images are flat, digit k of brightness k / 10."""
    labels = torch.arange(10).repeat_interleave(50)
    images = (labels * 25.5).round().to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 28, 28)
    examples = draw_examples(addition, images, labels, DIGITS, 40, torch.Generator().manual_seed(0))
    return Loader(examples, addition, SCALES["unit"], torch.device("cpu"))
