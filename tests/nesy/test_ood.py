"""Scores that tell a run's images from foreign ones."""

import pytest
import torch
from torch import nn

from gedi_nesy.core.energy import ood_score
from gedi_nesy.core.reference import Reference
from gedi_nesy.data.outliers import load_outliers
from gedi_nesy.nesy.ood import ood_auroc, ood_scores
from gedi_nesy.nesy.recipe import load_recipe
from gedi_nesy.nesy.run import Run
from gedi_nesy.networks.mnist_net import MNIST_Net
from gedi_nesy.runs.folder import RunFolder


@pytest.fixture
def run(addition, tmp_path):
    """An untrained network stands in for a trained one: scores and their AUROC are defined all the same."""
    torch.manual_seed(0)
    networks = nn.ModuleDict({"digits": MNIST_Net()})
    recipe = load_recipe("gedi-nesy", {"dataset": "digits", "student.network": "mnist_net", "student.dropout": 0})
    return Run(RunFolder(tmp_path), recipe, addition, networks, torch.device("cpu"))


def test_scores_are_those_of_the_network(run):
    images = run.images().x_test[:5]
    scores = ood_scores(run, images)
    net, inputs = run.networks["digits"], run.scale.to_inputs(images)
    reference = (inputs + 1).square().flatten(1).sum(1) / (2 * 50)  # its variance is 50, the ground black
    torch.testing.assert_close(scores["energy"], net(inputs).logsumexp(-1) - reference)
    torch.testing.assert_close(scores["max_softmax"].exp(), net(inputs).softmax(-1).amax(-1))
    torch.testing.assert_close(scores["gradient"], ood_score(net, inputs, Reference(torch.tensor(-1.0), 50.0)))


def test_familiarity_is_energy_and_certainty_over_views(run):
    images = run.images().x_test[:5]
    still = {"warp": False, "noise": 0.0}
    stage = run.recipe.student.model_copy(update=still)
    run.recipe = run.recipe.model_copy(update={"student": stage})  # all views are the image itself
    logits = run.networks["digits"](run.scale.to_inputs(images))
    p = logits.softmax(-1)
    torch.testing.assert_close(run.familiarity(images), -run.energy(images) + 10 * (p * p.log()).sum(-1))


def test_kinds_are_balanced_and_digits_are_not_foreign_to_themselves(run):
    digits = run.images().x_test
    table = ood_auroc(run, digits, {"digits": digits, "few": load_outliers("noise", digits[:7])})
    assert [row["images"] for row in table.values()] == [len(digits), 7]
    assert table["digits"]["energy"] == table["digits"]["gradient"] == 0.5
    assert table["few"]["energy"] != 0.5
