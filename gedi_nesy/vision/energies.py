"""Whether the energies that L_GEN has trained model the training images; no label is looked at."""

from dataclasses import replace

import torch

from gedi_nesy.core.energy_check import SAMPLES, EnergyCheck, check_energy
from gedi_nesy.core.modes import evaluating
from gedi_nesy.vision.image_network import ImageNetworks
from gedi_nesy.vision.losses import build_sgld
from gedi_nesy.vision.recipe import Recipe
from gedi_nesy.vision.views import ImageInputs

LARGEST = 3000  # images that a network's samples are held against


def check_energies(networks: ImageNetworks, inputs: ImageInputs, recipe: Recipe) -> list[EnergyCheck | None]:
    """The check of the network of each data set, with the same images and noise each time.

    The thresholds of `core.energy_check` are those of MNIST: of other images a failure is a reason to look at samples.
    Where chains leave the finite numbers there is no check.
    """
    assert recipe.sampler is not None
    box = inputs.box(recipe.sampler.margin)
    sgld = replace(build_sgld(recipe.sampler, box, inputs.ground()), steps=recipe.sampler.life)
    generator = torch.Generator(inputs.x.device).manual_seed(0)
    rows = torch.randperm(inputs.count, generator=generator, device=inputs.x.device)[:LARGEST]
    rows = rows.expand(networks.count, -1)
    views = inputs.anchors(rows[:, :SAMPLES], generator)
    checks: list[EnergyCheck | None] = []
    with evaluating(networks):
        for network, own, data in zip(networks.members, views, inputs.points(rows), strict=True):
            try:
                checks.append(check_energy(network, sgld, own, data, box, generator))
            except FloatingPointError:
                checks.append(None)
    return checks
