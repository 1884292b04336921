"""Features by L_INV and L_PRIOR on a fixed dictionary, at toy size on real pictures where there are any."""

import copy

import numpy as np
import pytest
import torch

from gedi_nesy.core.checks import Checks
from gedi_nesy.core.fit import Training, fit
from gedi_nesy.core.lars import LARS
from gedi_nesy.core.schedule import Schedule
from gedi_nesy.networks.resnet import ResNet8
from gedi_nesy.views.crops import Crops
from gedi_nesy.vision.features import FeatureLosses, FeatureNetwork, features_of
from tests.waits import Waits

PLAN = (Crops(2, 16, (0.3, 1.0)), Crops(2, 8, (0.1, 0.4)))
STEPS = 40


@pytest.fixture(scope="module")
def images(cifar):
    with np.load(cifar / "cifar10.npz") as file:
        return torch.from_numpy(file["x_train"][:, ::2, ::2]).permute(0, 3, 1, 2).contiguous()


def begin(images, seed=0, **settings):
    torch.manual_seed(seed)
    model = FeatureNetwork(ResNet8(8), 8, dim=16, atoms=64, **settings)
    training = Training(model, LARS(model.parameters(), 1.0, eta=0.02), torch.Generator().manual_seed(seed))
    return training, FeatureLosses(images, training, 32, PLAN)


def train(training, losses, steps=STEPS, watch=lambda *_: None):
    rate = Schedule.of([[0.0, 1.0], [1.0, 0.1]])
    fit(training, losses.objective, losses, steps=steps, learning_rate=rate, callbacks=[watch])


def test_the_losses_fall_and_the_features_do_not_collapse(images):
    (training, losses), rows = begin(images), []
    train(training, losses, watch=lambda _, found, total: rows.append({key: found[key].item() for key in found}))
    first, last = (
        {key: np.mean([row[key] for row in part]) for key in ("inv", "prior")} for part in (rows[:5], rows[-5:])
    )
    assert last["inv"] < first["inv"] - 0.3
    assert last["prior"] < -3.0  # of at most ln 64 = 4.16: many atoms are in use
    features = features_of(training.model.eval(), images)
    assert features.shape == (192, 8)
    assert features.std(0).min() > 0


def test_a_resumed_training_ends_bit_identical(images):
    whole, losses = begin(images)
    states = []

    def keep(training, found, total):
        if training.step == 2:
            states.append(copy.deepcopy(training.state_dict()))

    train(whole, losses, 4, keep)
    resumed, losses = begin(images, seed=1)
    resumed.load_state_dict(states[0])
    train(resumed, losses, 4)
    expected = whole.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.model.state_dict().items())


def test_a_step_looks_at_no_value(images):
    training, losses = begin(images)
    training.checks = Checks(late=True)
    losses(0)
    with Waits() as waits:
        losses.objective(losses(1), 0.5).backward()
        training.optimizer.step()
    assert waits.found == []


def test_only_the_encoder_computes_in_bfloat16_and_only_in_training(images):
    half, plain = (begin(images, bf16=bf16)[0].model for bf16 in (True, False))
    kinds = [torch.rand(2, 4, 3, 8, 8)]
    assert half(kinds).dtype == torch.float32
    assert not torch.equal(half(kinds), plain(kinds))
    half, plain = (begin(images, bf16=bf16)[0].model.eval() for bf16 in (True, False))
    assert torch.equal(half(kinds), plain(kinds))
