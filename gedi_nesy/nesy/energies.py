"""Whether the energies that L_GEN has trained model the training images; no label is looked at."""

from dataclasses import replace

import torch
from torch import nn

from gedi_nesy.core.energy_check import SAMPLES, EnergyCheck, check_energy
from gedi_nesy.nesy.batch import Loader, draw_view
from gedi_nesy.nesy.losses import build_sgld
from gedi_nesy.nesy.recipe import Recipe

LARGEST = 3000  # images of a network that its samples are held against


def check_energies(networks: nn.ModuleDict, loader: Loader, recipe: Recipe) -> dict[str, EnergyCheck]:
    """The check of each network, the same images and noise each time; none where L_GEN was off."""
    settings, stage = recipe.sampler, recipe.last
    if settings is None or not recipe.has_energy_model:
        return {}
    sgld = replace(build_sgld(settings, loader.scale, loader.ground), steps=settings.life)
    box = loader.scale.low, loader.scale.high
    batch = loader.batch(torch.arange(min(len(loader), LARGEST)))
    checks = {}
    for name, images in batch.images.items():
        generator = torch.Generator(images.device).manual_seed(0)
        chosen = images[torch.randperm(len(images), generator=generator, device=images.device)[:LARGEST]]
        views = draw_view(chosen[:SAMPLES], stage, loader.ground, generator)
        checks[name] = check_energy(networks[name], sgld, views, chosen, box, generator)
    return checks
