"""Energies of images with a reference density, and whether the certificate sees that they model the images."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from gedi_nesy.core.energy_check import EnergyCheck
from gedi_nesy.vision.certificate import Choice, certify, judged_rows
from gedi_nesy.vision.energies import check_energies
from gedi_nesy.vision.image_network import ImageNetworks
from gedi_nesy.vision.recipe import Network, Speed, load_recipe
from gedi_nesy.vision.run import Run
from tests.vision.test_drawings import Sides, generator, halves

GOOD = EnergyCheck(0.1, 1.0, 0.0, 1.0, ())
WRONG = EnergyCheck(-11.0, 1.0, 0.0, 1.0, ("energies of data and samples apart",))
RECIPE = load_recipe("gedi-drawings", {"sampler.reference": 2.0, "sampler.steps": 5, "sampler.reinit": 0.5})


class Bowl(nn.Module):
    """Logits of which the energy is lowest at one image: E(x) = |x - image|^2 / 2 - log 2."""

    def __init__(self, image):
        super().__init__()
        self.image = image

    def forward(self, x):
        return (-(x - self.image).square().flatten(-3).sum(-1) / 2)[..., None].expand(*x.shape[:-3], 2)


def black_images():
    return replace(halves(40), x=torch.zeros(1, 40, 1, 28, 28, dtype=torch.uint8))


def bowls(lowest):
    networks = ImageNetworks(1, Network(encoder="strided", projector=(8,)), Speed(), 1, 2, seed=0)
    networks.members[0].forward = Bowl(torch.full((1, 28, 28), lowest)).forward
    return networks


def test_a_reference_is_part_of_energy_and_gradient(tmp_path):
    scale = halves(2).scales[0]
    run = Run(tmp_path, RECIPE, Bowl(torch.zeros(1, 28, 28)), scale, (-1.0, 1.0), torch.full((1, 1, 1), -1.0))
    white = torch.full((1, 1, 28, 28), 255, dtype=torch.uint8)
    # E = 28 * 28 / 2 - log 2 at x = 1, and -log r = 28 * 28 * (1 - -1)^2 / (2 * 2)
    assert run.energy(white).item() == pytest.approx(784 / 2 - torch.tensor(2.0).log().item() + 784, rel=1e-5)
    # d log p / dx = -(x - 0) - (x - -1) / 2 = -2 in each of 784 pixels
    assert run.ood_score(white).item() == pytest.approx(-2 * 28, rel=1e-5)
    uniform = Run(tmp_path, RECIPE.model_copy(update={"sampler": None}), run.networks, scale, (-1.0, 1.0))
    assert uniform.energy(white).item() == pytest.approx(784 / 2 - torch.tensor(2.0).log().item(), rel=1e-5)


@pytest.mark.parametrize(("lowest", "good"), [(-1.0, True), (1.0, False)])
def test_samples_unlike_the_images_are_seen(lowest, good):
    (found,) = check_energies(bowls(lowest), black_images(), RECIPE)
    assert found is not None
    assert ("energies of data and samples apart" not in found.failures) == good


def test_chains_that_leave_the_numbers_have_no_check():
    (found,) = check_energies(bowls(float("nan")), black_images(), RECIPE)
    assert found is None


@pytest.mark.parametrize(("energy", "certified"), [(GOOD, True), (WRONG, False), (None, False)])
def test_a_wrong_energy_is_a_reason_for_doubt(energy, certified):
    inputs = halves(40, walks=torch.arange(40).view(1, 40, 1).int())
    right = (judged_rows(inputs, generator()) >= 20).long()[None]
    (verdict,) = certify(Sides(1), inputs, [Choice(0, [0.05, 0.06], right)], [energy])
    assert verdict["certified"] == certified
    assert bool(verdict["failures"]) != certified
    assert verdict.get("energy_gap") == (energy.gap if energy else None)
