import math

import pytest
import torch

from gedi_nesy.core.chains import Chains
from gedi_nesy.core.energy import energy
from gedi_nesy.core.fit import DivergedError, Training
from gedi_nesy.core.sgld import ReplayBuffer
from gedi_nesy.nesy.candidates import Candidates, Shape
from gedi_nesy.nesy.examples import batch_rows
from gedi_nesy.nesy.foreign import DistortedImages
from gedi_nesy.nesy.losses import StepLosses, build_sgld, log_priors
from gedi_nesy.nesy.recipe import load_recipe
from tests.nesy.readers import readers

RIGHT, ZERO = list(range(10)), [0] * 10


def step_losses(addition, loader, candidates, overrides=None, **teaching):
    settings = {"scale": "unit", "train.warp": False, "train.noise": 0.0, "train.batch": 40, "train.weights.inv": 1.0}
    settings |= {"sampler.engine": "torch"}  # which takes the readers below as networks
    recipe = load_recipe("gedi-nesy-restarts", settings | (overrides or {}))
    training = Training(candidates, torch.optim.SGD(candidates.parameters(), 0.1), torch.Generator().manual_seed(0))
    return StepLosses(recipe, recipe.train, addition, loader, training, 0, **teaching)


def test_the_rules_marginals_are_those_of_the_55_sums(addition):
    priors = {key: prior.exp() for key, prior in log_priors(addition.marginals()).items()}
    torch.testing.assert_close(priors["X"], torch.arange(10, 0, -1) / 55)
    torch.testing.assert_close(priors["Z"], torch.arange(1, 11) / 55)


def test_each_restart_gets_its_own_losses(addition, loader):
    losses = step_losses(addition, loader, readers(RIGHT, ZERO))(0)
    right, zero = losses["nesy"]
    assert right < 0.02
    assert zero < 0.02  # everything is 0: the rule's shortcut
    assert losses["prior"][0] < 0.2  # forty examples are near the marginals
    # all mass on 0, whose marginals are 10/55, 10/55 and 1/55
    expected = (2 * math.log(5.5) + math.log(55)) / 3
    assert losses["prior"][1].item() == pytest.approx(expected, rel=0.02)  # certain up to exp(-8)
    assert losses["inv"].max() < 0.05  # no augmentation: the entropy of a certain prediction


def test_each_restart_has_a_teacher_and_marginals_of_its_own(addition, loader):
    true = {key: torch.eye(10)[symbols] for key, symbols in loader.examples.symbols.items()}
    zeros = {key: torch.eye(10)[0].expand(len(loader), 10) for key in true}
    only_zeros = {key: torch.eye(10)[0] for key in true}
    settings = {"cycles": 1, "train.weights.teacher": 1.0, "matching": load_recipe("gedi-nesy").matching.model_dump()}
    teaching = {"teachers": [true, zeros], "marginals": [addition.marginals(), only_zeros]}
    losses = step_losses(addition, loader, readers(RIGHT, ZERO), settings, **teaching)(0)
    assert losses["teacher"].max() < 0.02  # each learned from its own
    assert losses["prior"].max() < 0.2
    swapped = {name: own[::-1] for name, own in teaching.items()}
    losses = step_losses(addition, loader, readers(RIGHT, ZERO), settings, **swapped)(0)
    assert losses["teacher"].min() > 3
    alone = step_losses(addition, loader, readers(RIGHT), settings, teachers=[zeros])(0)["teacher"]
    torch.testing.assert_close(losses["teacher"][:1], alone)
    assert losses["prior"].min() > 1


@pytest.mark.parametrize(("form", "optimum"), [("entropy", -math.log(10)), ("uniform", math.log(10)), ("rule", 0.0)])
def test_the_prior_has_its_forms_optimum(form, optimum, addition, loader):
    losses = step_losses(addition, loader, readers(RIGHT), {"train.prior": form})
    assert losses.objective.optima["prior"] == pytest.approx(optimum)
    assert losses(0)["prior"].item() >= optimum


def add_chains(losses, candidates, reinit):
    """Chains of the single network, as a session makes them; their buffer."""
    recipe, generator, reading = losses.recipe, losses.training.generator, losses.loader.readings["digits"]
    buffer = ReplayBuffer(60, (1, 28, 28), 0.0, 1.0, reinit, generator, torch.device("cpu"))
    net = candidates.networks(0)["digits"]
    sgld = build_sgld(recipe.sampler, reading, Shape(10), net)
    losses.training.chains["digits"] = Chains(net, sgld, buffer, recipe.sampler.chains, generator)
    return buffer


def test_chains_move_where_l_gen_weighs_anything_and_only_then(addition, loader):
    candidates = Candidates({"digits": Shape(10)}, 1, seed=0)
    late = {"train.weights.gen": [[0.0, 0.0], [0.5, 0.0], [1.0, 1.0]], "sampler.steps": 1, "restarts": 1}
    losses = step_losses(addition, loader, candidates, late)
    buffer = add_chains(losses, candidates, 0.05)
    before = buffer.samples.clone()
    assert "gen" not in losses(0)
    assert torch.equal(buffer.samples, before)
    assert "gen" in losses(losses.steps - 1)
    assert (buffer.samples != before).flatten(1).any(1).sum() == 24


def test_distorted_images_are_held_against_the_data_beside_the_samples(addition, loader):
    candidates = Candidates({"digits": Shape(10)}, 1, seed=0)
    mixed = {"train.weights.gen": 1.0, "train.weights.distorted": 0.5, "sampler.distorted": 6, "restarts": 1}
    losses = step_losses(addition, loader, candidates, mixed)
    add_chains(losses, candidates, 0.0)
    found = losses(0)
    net = candidates.networks(0)["digits"]
    at_distorted = energy(net(DistortedImages(loader, 6, 0.0, 0)("digits", 0))).mean()
    at_data = energy(net(loader.batch(batch_rows(len(loader), 40, 0, 0)).images["digits"])).mean()
    torch.testing.assert_close(found["distorted"], (at_data - at_distorted)[None])


def test_an_exploding_energy_gap_stops_training(addition, loader):
    candidates = readers(RIGHT)
    candidates.nets[0]["digits"].sharpness.data.fill_(1e6)
    candidates.nets[0]["digits"].forward = lambda x: x.flatten(1)[:, :10] * 1e6
    losses = step_losses(addition, loader, candidates, {"train.weights.gen": 1.0, "sampler.steps": 1, "restarts": 1})
    add_chains(losses, candidates, 0.05)
    with pytest.raises(DivergedError, match="energies of data and samples"):
        losses(4)
