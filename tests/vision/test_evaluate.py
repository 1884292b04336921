"""The figures of a run on images, each where its value is known."""

from dataclasses import replace

import pytest
import torch

from gedi_nesy.core.energy import ood_score
from gedi_nesy.core.metrics import score
from gedi_nesy.vision.agreement import score_clusters
from gedi_nesy.vision.evaluate import score_features, score_samples
from gedi_nesy.vision.extractor import Extractor
from gedi_nesy.vision.published import AUROC_ON_IMAGES, FIGURES_ON_IMAGES
from gedi_nesy.vision.samples import CHAINS, draw_images
from tests.vision.tiny import tiny_images, tiny_run

COLOURS = Extractor(
    "colours", "FD(colours)", "KD(colours)", lambda x: x.float().mean((2, 3)), torch.device("cpu"), {"key": "rgb"}
)


@pytest.fixture
def run(tmp_path):
    return tiny_run(tmp_path, "tiny.npz")


def test_clusters_are_scored_on_the_whole_set_and_beside_chance():
    generator = torch.Generator().manual_seed(0)
    labels, guesses = torch.randint(10, (2, 1000), generator=generator)
    figures = score_clusters(guesses, labels, 10, in_batches=True)
    assert figures["nmi"] == score(guesses, labels, 10).nmi < 0.05
    assert figures["nmi_batch64"] == pytest.approx(figures["nmi_batch64_chance"], abs=0.03)
    assert figures["nmi_batch64"] > 0.25
    few = score_clusters(guesses[:63], labels[:63], 10, in_batches=True)
    assert set(few) == {"nmi", "ami", "cluster_accuracy"}  # there is no batch of 64


def test_features_are_read_from_the_encoder(run):
    images = tiny_images()
    inputs = run.scale.to_inputs(images.x_test)
    torch.testing.assert_close(run.features(images.x_test), run.networks.encode(inputs[None])[0])
    assert score_features(run, images) == {"linear_probe": 1.0, "knn": 1.0}  # dark and bright are easy to tell


def test_labels_that_nothing_shows_are_not_found(run):
    images = tiny_images(test=1000)
    shuffled = replace(images, y_test=images.y_test[torch.randperm(1000, generator=torch.Generator().manual_seed(1))])
    figures = score_features(run, shuffled)
    assert figures["linear_probe"] == pytest.approx(0.5, abs=0.06)
    assert figures["knn"] == pytest.approx(0.5, abs=0.06)


def test_drawn_images_are_bytes_and_no_two_parts_are_alike(run):
    said = []
    drawn = draw_images(run, CHAINS + 50, 7, progress=said.append)
    assert (drawn.dtype, drawn.shape) == (torch.uint8, (CHAINS + 50, 3, 8, 8))
    assert not torch.equal(drawn[:50], drawn[CHAINS:])
    assert len(said) == 2
    assert torch.equal(drawn[:CHAINS].unique(), torch.arange(256, dtype=torch.uint8))  # clipped, not wrapped
    assert (drawn == 0).float().mean() == pytest.approx(20 / 300, abs=0.01)


def test_samples_are_compared_with_real_images_and_so_are_test_images(run):
    images = tiny_images(test=100)
    figures = score_samples(draw_images(run, 100, 1), images.x_train, images.x_test, COLOURS)
    assert figures["extractor"] == {"name": "colours", "key": "rgb"}
    bad, good = figures["samples"], figures["test_images"]
    assert figures["reference"] == 300
    assert set(bad) == set(good) == {"FD(colours)", "KD(colours)", "precision", "recall", "images"}
    assert bad["images"] == 100
    assert bad["FD(colours)"] > 10 * good["FD(colours)"]
    assert good["precision"] > 0.8 > 0.2 > bad["precision"]


def test_the_papers_score_is_that_of_the_core_in_units_of_the_inputs(run):
    x = tiny_images().x_test[:5]
    inputs = run.scale.to_inputs(x)

    class First(torch.nn.Module):
        def forward(self, x):
            return run.networks(x[None])[0]

    torch.testing.assert_close(run.ood_score(x), ood_score(First(), inputs))


def test_the_papers_figures_are_found_by_method_and_data_set():
    assert FIGURES_ON_IMAGES["gedi", "svhn"] == {"nmi_batch64": 0.25, "FID": 193, "linear_probe": 0.54}
    assert FIGURES_ON_IMAGES["jem", "cifar100"]["FID"] == 271
    assert AUROC_ON_IMAGES["gedi-no-gen", "cifar10"] == {"svhn": 0.11, "cifar100": 0.51}
