"""OOD scores of runs on points and on images."""

import numpy as np
import pytest
import torch

from gedi_nesy.errors import UserError
from gedi_nesy.vision.ood import ood_auroc, ood_scores
from tests.vision.tiny import points_run, tiny_images, tiny_run


def test_points_are_told_from_noise_and_from_other_toys(tmp_path):
    on_points = points_run(tmp_path)
    table = ood_auroc(on_points, ["noise", "circles", "moons"])
    assert set(table["noise"]) == {"images", "energy", "gradient", "max_softmax"}
    assert table["noise"]["images"] == 1000
    assert [table["moons"][score] for score in ("energy", "gradient", "max_softmax")] == pytest.approx([0.5] * 3)
    assert ood_auroc(on_points, ["noise"])["noise"] == table["noise"]


def test_points_of_another_dimension_are_refused(tmp_path):
    np.savez(tmp_path / "space.npz", x_train=np.zeros((5, 3)))
    with pytest.raises(UserError, match="3 columns and the run's points 2"):
        ood_auroc(points_run(tmp_path), [str(tmp_path / "space.npz")])


def test_images_are_told_from_other_images(tmp_path):
    images = tiny_images()
    arrays = {name: getattr(images, name).numpy() for name in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(tmp_path / "tiny.npz", **arrays)
    np.savez(
        tmp_path / "dark.npz", **arrays | {"x_test": arrays["x_test"][:90] // 200, "y_test": arrays["y_test"][:90]}
    )
    run = tiny_run(tmp_path, tmp_path / "tiny.npz")
    with torch.no_grad():
        run.networks.head.weight[:] = torch.tensor([[1.0], [0.0]])  # log p(x) grows with brightness
    table = ood_auroc(run, [str(tmp_path / "dark.npz"), "noise"])
    row = table[str(tmp_path / "dark.npz")]
    assert row["images"] == 90
    assert row["energy"] > 0.9  # there is next to nothing as dark
    scores = ood_scores(run, images.x_test)
    torch.testing.assert_close(
        scores["energy"], run.networks(run.scale.to_inputs(images.x_test)[None])[0].logsumexp(-1)
    )
