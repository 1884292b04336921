"""Networks by name and a user's own: logits of the right shape, and features that the last layer turns into them."""

import pytest
import torch
from torch import nn
from torchvision import models

from gedi_nesy.errors import UserError
from gedi_nesy.networks.build import choose_network
from gedi_nesy.networks.classifier import Classifier, split_last_layer
from gedi_nesy.networks.own import describe, network_factory


class Own(nn.Module):
    """A user's network, with its layers in an order of its own."""

    def __init__(self, input_shape, classes):
        super().__init__()
        self.conv = nn.Conv2d(input_shape[0], 4, 3)
        self.out = nn.Linear(4, classes)

    def forward(self, x):
        return self.out(self.conv(x).relu().amax((2, 3)))


def last_layer(network):
    return [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]


@pytest.mark.parametrize(
    ("name", "shape", "features"),
    [
        ("mnist_net", (1, 28, 28), 84),
        ("mnist_net", (3, 28, 28), 84),
        ("strided", (1, 28, 28), 96),
        ("resnet8-6", (3, 40, 24), 6),
        ("resnet18", (3, 16, 16), 512),
        ("resnet18-groupnorm", (1, 16, 16), 512),
        ("mlp-20-7", (30,), 7),
        ("mlp-5", (2, 6, 4), 5),
        (Own, (2, 9, 9), 4),
    ],
)
def test_each_network_makes_its_logits_of_its_features(name, shape, features):
    network = network_factory(name)(shape, 3).eval()
    x = torch.rand(5, *shape)
    assert network.features(x).shape == (5, features)
    torch.testing.assert_close(network(x), last_layer(network)(network.features(x)))
    assert network(x).shape == (5, 3)


@pytest.mark.parametrize(
    ("shape", "drawings", "name"),
    [
        ((1, 28, 28), True, "mnist_net"),
        ((3, 28, 28), True, "strided"),
        ((3, 28, 28), False, "resnet8-32"),
        ((1, 64, 48), True, "strided"),
        ((1, 65, 48), True, "resnet8-32"),
        ((1, 64, 15), True, "resnet8-32"),
        ((1280,), False, "mlp-256"),
    ],
)
def test_the_network_follows_from_the_inputs(shape, drawings, name):
    assert choose_network(shape, drawings) == name
    assert network_factory(name)(shape, 10)(torch.rand(2, *shape)).shape == (2, 10)


def test_an_mlp_drops_inputs_and_units_in_training_only():
    network = network_factory("mlp-50")((40,), 2)
    x = torch.ones(1, 40)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


def test_torchvision_s_last_layer_is_taken_off():
    network = models.resnet18(num_classes=7).eval()
    x = torch.rand(2, 3, 40, 40)
    logits = network(x)
    parts = split_last_layer(network, x).eval()
    assert parts.features(x).shape == (2, 512)
    torch.testing.assert_close(parts(x), logits)


@pytest.mark.parametrize("tail", [nn.Tanh(), nn.BatchNorm1d(3, affine=False), nn.Conv1d(3, 3, 1)])
def test_what_ends_otherwise_stays_whole(tail):
    """A layer after the last linear one: the features are the logits then."""
    squeeze = [nn.Unflatten(1, (3, 1)), tail, nn.Flatten()] if isinstance(tail, nn.Conv1d) else [tail]
    network = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3), *squeeze).eval()
    x = torch.rand(4, 6)
    logits = network(x)
    assert split_last_layer(network, x) is None
    torch.testing.assert_close(network.eval()(x), logits)
    made = network_factory(lambda shape, classes: network)((6,), 3).eval()
    torch.testing.assert_close(made.features(x), logits)
    torch.testing.assert_close(made(x), logits)


def test_a_method_features_of_one_s_own_is_used():
    class WithFeatures(Own):
        def features(self, x):
            return self.conv(x).relu().amax((2, 3)) + 1

    network = network_factory(WithFeatures)((1, 5, 5), 2)
    assert type(network) is WithFeatures
    assert isinstance(network_factory(Own)((1, 5, 5), 2), Classifier)


FILE = """
from dataclasses import dataclass
from torch import nn

def small(input_shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0], classes))

number = 3
"""


def test_a_file_s_factory_needs_trust_and_is_made_again_from_its_description(tmp_path, monkeypatch):
    (tmp_path / "nets.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"nets.py:small is code that would be executed; look at it and say --trust"):
        network_factory("nets.py:small")
    written = describe("nets.py:small")
    assert written == f"{tmp_path / 'nets.py'}:small"
    monkeypatch.chdir("/")
    assert network_factory(written, trust=True)((4,), 2)(torch.rand(3, 4)).shape == (3, 2)
    (tmp_path / "nets.py").unlink()
    with pytest.raises(
        UserError,
        match=r"nets.py:small is not there \(there is no file .*\); name one .* put it back, or give it",
    ):
        network_factory(written, trust=True)


def test_a_class_of_python_is_made_again_by_its_module():
    assert describe("resnet8-32") == "resnet8-32"
    written = describe(Own)
    assert written == f"{__name__}:Own"
    assert network_factory(written, trust=True)((1, 6, 6), 2)(torch.rand(1, 1, 6, 6)).shape == (1, 2)
    with pytest.raises(UserError, match=r"test_build:Gone is not there .*load_run\(folder, network=Gone\)"):
        network_factory(f"{__name__}:Gone", trust=True)


@pytest.mark.parametrize(
    ("network", "shape", "sentence"),
    [
        ("resnet-18", (3, 8, 8), r"There is no network 'resnet-18' \(did you mean 'resnet18'\?\); take mnist_net"),
        ("mlp-0", (3,), "There is no network 'mlp-0'"),
        (
            "mnist_net",
            (3, 32, 32),
            "mnist_net reads pictures of 28x28 pixels, and these are of shape 3x32x32",
        ),
        ("strided", (50,), "these are vectors of 50 numbers; take mlp-256"),
        ("resnet8-4", (1, 3, 9), "pictures of 4x4 pixels or more"),
        ("resnet18", (7,), "resnet18 reads pictures"),
        (nn.Linear(3, 2), (3,), "The network is one Linear, and restarts need fresh ones"),
        (
            lambda shape, classes: nn.Linear(3, 7),
            (3,),
            r"gives \[2, 7\] for inputs \[2, 3\]; it must",
        ),
        (lambda shape, classes: nn.Linear(4, 2), (3,), "fails for input_shape .3,. and 2 classes: RuntimeError, mat1"),
        (lambda shape, classes: None, (3,), "returns NoneType, and must return a torch.nn.Module"),
        (
            lambda shape, classes: nn.Sequential(nn.Linear(3, 2), nn.Softmax(1)),
            (3,),
            "ends in a softmax; let it give logits",
        ),
        (lambda shape, classes: nn.Sequential(nn.Linear(3, 2), nn.LogSoftmax(1)), (3,), "ends in a softmax"),
    ],
)
def test_what_is_no_network_for_these_inputs_is_refused(network, shape, sentence):
    with pytest.raises(UserError, match=sentence):
        network_factory(network)(shape, 2)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import nowhere_at_all", "fails when it is executed: ModuleNotFoundError, No module named 'nowhere_at_all'"),
        ("1 / 0", "fails when it is executed: ZeroDivisionError"),
        (FILE, "number is no class or function"),
        ("", "number is not there .*own.py defines no number"),
    ],
)
def test_a_file_that_fails_says_why(text, sentence, tmp_path):
    (tmp_path / "own.py").write_text(text)
    with pytest.raises(UserError, match=sentence):
        network_factory(f"{tmp_path / 'own.py'}:number", trust=True)
