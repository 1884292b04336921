"""Untrained runs on points and on tiny images, and a data set: what evaluation needs, in no time."""

import torch
from torch import nn

from gedi_nesy.data import Images
from gedi_nesy.runs.folder import RunFolder
from gedi_nesy.vision.network import Networks
from gedi_nesy.vision.recipe import load_recipe
from gedi_nesy.vision.run import Run, Scale


class TinyNetworks(nn.Module):
    """A stack of one network: the mean colours of four quarters, and a linear layer."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(12, 2)

    def encode(self, x):
        return nn.functional.adaptive_avg_pool2d(x[0], 2).flatten(1)[None]

    def forward(self, x):
        return self.head(self.encode(x))


class TinyRun(Run):
    def sample(self, n, *, steps=500, seed=0):
        generator = torch.Generator().manual_seed(seed)
        return 300 * torch.rand(n, 3, 8, 8, generator=generator) - 20  # pixels leave their range, as SGLD's may


def points_run(folder):
    """On moons."""
    networks = Networks(1, 2, [8], [4], 2, "cosine", 0.1, seed=0)
    return Run(RunFolder(folder), load_recipe("gedi"), networks, Scale(torch.zeros(2), torch.ones(2)), (-2.0, 3.0))


def tiny_run(folder, dataset):
    torch.manual_seed(0)
    recipe = load_recipe("paper-cifar10-gedi", {"dataset": str(dataset)})
    scale = Scale(torch.full((3, 8, 8), 127.5), torch.full((3, 8, 8), 127.5))
    return TinyRun(RunFolder(folder), recipe, TinyNetworks(), scale, (-1.0, 1.0))


def tiny_images(train=300, test=200):
    """Dark images and bright ones."""
    generator = torch.Generator().manual_seed(0)

    def draw(n):
        labels = torch.randint(2, (n,), generator=generator)
        pixels = torch.randint(130, (n, 3, 8, 8), generator=generator) + 125 * labels.view(-1, 1, 1, 1)
        return pixels.to(torch.uint8), labels

    return Images("tiny", *draw(train), *draw(test), ("dark", "bright"))
