"""The vision track on 28 x 28 drawings: warps, walks among images of like features, and a student."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from gedi_nesy.core.fit import Training
from gedi_nesy.core.metrics import score
from gedi_nesy.errors import UserError
from gedi_nesy.runs.callbacks import Interrupted
from gedi_nesy.vision import restarts
from gedi_nesy.vision.certificate import Choice, certify, judged_rows
from gedi_nesy.vision.image_network import ImageNetworks
from gedi_nesy.vision.losses import StepLosses
from gedi_nesy.vision.neighbours import ENDS, walks_by_features
from gedi_nesy.vision.networks import new_networks
from gedi_nesy.vision.recipe import Augment, Network, Speed, View, load_recipe
from gedi_nesy.vision.restarts import cluster_features
from gedi_nesy.vision.scale import find_scale
from gedi_nesy.vision.train import resume, train
from gedi_nesy.vision.view_means import mean_features
from gedi_nesy.vision.views import ImageInputs
from tests.vision.test_images import assert_same_weights, stop_at

FEW = {"dataset": "digits", "examples": 60, "view.neighbours": 5, "sampler.steps": 2, "log_every": 2} | {
    f"{stage}.{key}": value
    for stage in ("pretrain", "train", "student")
    for key, value in (("steps", 4), ("batch", 16), ("learning_rate", 1e-3))
}
# what the recipe for drawings would be by features: of a stage before, and with a student for L_GEN
FEW |= {"train.steps": 8, "view.graph": "features", "network.encoder": "mnist_net"}
FEW |= {"pretrain.weights.infonce": 1.0, "student.weights.teacher": 25.0, "student.weights.gen": 2.0}
FEW |= {f"train.weights.{name}": value for name, value in (("teacher", 0.0), ("gen", 0.0), ("energy_l2", 0.0))}
FEW |= {"train.weights.inv": 1.0, "train.weights.prior": 1.0}
FEW |= {"student.network.encoder": "strided", "student.network.projector": [96], "student.network.head": "linear"}


class Sides(nn.Module):
    """Stands for K networks, whose features are the mean brightness of an image's left and right half."""

    def __init__(self, count=2):
        super().__init__()
        self.count = count

    def encode(self, x):
        return (1 + x).unflatten(-1, (2, -1)).mean((2, 3, 5))

    def forward(self, x):
        return 2 * self.encode(x)  # a little uncertain


def halves(n, **views):
    """Images [n, 1, 28, 28] of which the first half are bright on the left, the others on the right."""
    x = torch.zeros(n, 1, 28, 28, dtype=torch.uint8)
    x[: n // 2, ..., 4:12] = 255
    x[n // 2 :, ..., 16:24] = 255
    return ImageInputs(x[None], [find_scale(x, "symmetric")], Augment(anchor="view"), noise=0.0, **views)


def generator():
    return torch.Generator().manual_seed(0)


def test_walks_stay_among_images_of_like_features():
    features = mean_features(Sides(), halves(40), generator())
    assert features[:, [0, 39]].tolist() == [[pytest.approx([8 / 7, 0]), pytest.approx([0, 8 / 7])]] * 2
    walks = walks_by_features(features, View(noise=0.0, walk=9, neighbours=5), generator())
    assert (walks.shape, walks.dtype) == ((2, 40, ENDS), torch.int32)
    assert ((walks < 20) == (torch.arange(40) < 20)[:, None]).all()
    assert len(walks[0].unique()) > 20


def test_restarts_on_features_find_what_walks_stay_in():
    which = torch.arange(300) % 3
    features = 100 * torch.eye(3)[which] + torch.randn(300, 3, generator=generator()) + 7
    members = [(which == k).nonzero()[:, 0] for k in range(3)]
    walks = torch.stack([members[k][torch.randint(100, (ENDS,), generator=generator())] for k in which.tolist()])
    fresh = ImageNetworks(4, Network(encoder="mnist_net", projector=(8,)), Speed(), 1, 3, seed=0)
    for one in fresh.members:
        one.projector = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 8))
    found = cluster_features(fresh, features, walks.int(), torch.arange(300), generator())
    assert found.choice.certificates[found.choice.best] == min(found.choice.certificates) < 0.01
    clusters = found.network.head(found.network.project(features)).argmax(-1)  # of features that are not standardised
    assert score(clusters, which, 3).cluster_accuracy == 1
    assert all(score(other, which, 3).cluster_accuracy == 1 for other in found.choice.others)


def test_a_view_is_where_a_walk_ended_and_its_anchor_stays():
    walks = torch.arange(40).flip(0).view(1, 40, 1).int()  # the first to the last
    rows, anchor, view = halves(40, walks=walks).draw(2, 30, generator())
    assert torch.equal(anchor.flip(-1), view)
    assert torch.equal(rows < 20, anchor[..., 0, 0, 4] > 0)


def test_warps_move_what_is_drawn_and_bring_in_the_ground():
    _, x, y = halves(40, warp=1.0).draw(1, 40, generator())
    assert not torch.equal(x, y)
    assert x.mean().item() == pytest.approx(8 / 14 - 1, abs=0.1)  # black comes in from outside, not grey
    assert x.amax() > 0.9


def test_images_that_walk_are_certified_by_the_restarts_on_their_features():
    walks = torch.arange(40).view(1, 40, 1).int()
    inputs = halves(40, walks=walks)
    right = (judged_rows(inputs, generator()) >= 20).long()[None]

    def verdict(certificates, others):
        (found,) = certify(Sides(1), inputs, [Choice(0, certificates, others)])
        return found["certified"], found["failures"]

    assert verdict([0.05, 0.06], 1 - right) == (True, [])  # the same clusters under other names
    assert verdict([0.05, 0.09], right[:0]) == (False, ["fewer than two restarts with a D low enough"])
    assert verdict([0.05, 0.06], torch.arange(40)[None] % 2) == (False, ["restarts that disagree"])


@pytest.mark.parametrize(("encoder", "features"), [("mnist_net", 84), ("strided", 96)])
def test_small_networks_for_drawings_give_what_their_last_layer_would_see(encoder, features):
    settings = Network(encoder=encoder, projector=(8,))
    networks = ImageNetworks(2, settings, Speed(), 1, 10, seed=0)
    x = torch.randn(2, 3, 1, 28, 28, generator=generator())
    assert networks.encode(x).shape == (2, 3, features)
    networks(x).sum().backward()
    assert all(parameter.grad is not None for parameter in networks.parameters())


def test_a_student_learns_what_its_teacher_says():
    """At the optimum its predictions are the targets, and CE(teacher, student) is their entropy."""
    targets = torch.tensor([[0.9, 0.1], [0.2, 0.8]])[(torch.arange(40) >= 20).long()][None]
    recipe = load_recipe("gedi-drawings", FEW | {"student.weights.gen": 0.0})
    networks = new_networks(recipe, 1, (1, 28, 28), 2, seed=0)
    training = Training(networks, torch.optim.Adam(networks.parameters(), lr=3e-3), generator())
    losses = StepLosses(recipe, recipe.student, halves(40), training, 2, targets)
    for _ in range(60):
        training.optimizer.zero_grad()
        losses(0)["teacher"].sum().backward()
        training.optimizer.step()
    entropy = 0.5 * (-0.9 * math.log(0.9) - 0.1 * math.log(0.1) - 0.2 * math.log(0.2) - 0.8 * math.log(0.8))
    assert losses.objective.optima["teacher"] == pytest.approx(entropy)
    assert networks(halves(40).points(torch.tensor([[0, 39]]))).softmax(-1)[0].flatten().tolist() == pytest.approx(
        [0.9, 0.1, 0.2, 0.8], abs=0.05
    )


@pytest.mark.usefixtures("no_pictures")
def test_a_run_that_walks_resumes_to_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(restarts, "STEPS", 20)
    monkeypatch.setattr(restarts, "BATCH", 50)
    train("gedi-drawings", out=tmp_path / "whole", **FEW)
    begin, go_on = partial(train, "gedi-drawings", out=tmp_path / "run", **FEW), partial(resume, tmp_path / "run")
    for step, start in ((6, begin), (7, go_on)):  # in the second stage, the only one of so many steps
        with monkeypatch.context() as patch:
            stop_at(step, patch)
            with pytest.raises(Interrupted):
                start()
    go_on()
    assert_same_weights(tmp_path / "whole", tmp_path / "run")


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        ("paper-cifar10-gedi", {"view.walk": 3}, "by the features of a stage before"),
        ("gedi", {"view.warp": 1.0}, "view.warp and view.graph"),
        ("gedi", {"sampler.reference": 50.0}, "sampler.reference and sampler.warp are for images"),
        ("paper-cifar10-gedi", {"train.weights.teacher": 1.0}, "weights.teacher is for the"),
        ("gedi", {"view.graph": "shape"}, 'view.graph = "shape" are for images'),
        ("gedi-drawings", {"view.walk": 0}, "set view.walk"),
        ("gedi-drawings", {"view.graph": "features"}, "by the features of a stage before"),
    ],
)
def test_what_has_no_meaning_is_refused(recipe, settings, message):
    with pytest.raises(UserError, match=message):
        load_recipe(recipe, settings)
