"""Whether the energies that L_GEN has trained model the training images; no label is looked at."""

from dataclasses import replace

import torch
from torch import nn

from gedi_nesy.core.energy_check import SAMPLES, EnergyCheck, check_energy
from gedi_nesy.nesy.candidates import Shape
from gedi_nesy.nesy.joint import AnyLoader
from gedi_nesy.nesy.losses import build_sgld, start_ground
from gedi_nesy.nesy.recipe import Recipe

LARGEST = 3000  # images of a network with which its samples are compared


def check_energies(networks: nn.ModuleDict, loader: AnyLoader, recipe: Recipe) -> dict[str, EnergyCheck]:
    """The energy check of each network, always on the same images and noise; none where L_GEN was off."""
    settings, stage = recipe.sampler, recipe.last
    if settings is None or not recipe.has_energy_model:
        return {}
    batch = loader.batch(torch.arange(min(len(loader), LARGEST)))
    checks = {}
    for name, images in batch.images.items():
        reading, shape = loader.readings[name], Shape(0, len(loader.calls[name][0].inputs), loader.readings[name].shape)
        sgld = replace(build_sgld(settings, reading, shape, networks[name]), steps=settings.life)
        box = reading.scale.low, reading.scale.high
        generator = torch.Generator(images.device).manual_seed(0)
        chosen = images[torch.randperm(len(images), generator=generator, device=images.device)[:LARGEST]]
        views = reading.view(chosen[:SAMPLES], stage, generator)
        ground = start_ground(settings, reading, shape)
        checks[name] = check_energy(networks[name], sgld, views, chosen, box, generator, ground)
    return checks
