"""A rule's pictures are matched by the features of a vision run."""

import numpy as np
import pytest
import torch
from PIL import Image

from gedi_nesy.cli import features_from
from gedi_nesy.cli.features_from import write_features
from gedi_nesy.data.npz import load_arrays
from gedi_nesy.errors import UserError
from tests.vision.tiny import points_run, tiny_run


@pytest.fixture
def table(tmp_path):
    """Two pictures of 8x8 pixels, one twice, with their sums."""
    for k, name in enumerate(("a.png", "b.png")):
        Image.fromarray(np.full((8, 8, 3), 100 * k + 20, np.uint8)).save(tmp_path / name)
    path = tmp_path / "table.csv"
    path.write_text("X,Y,S\na.png,b.png,1\nb.png,b.png,2\n")
    return path


def test_the_encoder_of_a_run_makes_a_feature_file(table, tmp_path, monkeypatch):
    run = tiny_run(tmp_path, "some")
    monkeypatch.setattr(features_from, "load_run", lambda folder: run)
    arrays = load_arrays(write_features(tmp_path, str(table), None, None))
    assert arrays["names"].tolist() == ["a.png", "b.png"]
    expected = run.features(torch.tensor([20, 120], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 8, 8))
    np.testing.assert_allclose(arrays["features"], expected.numpy(), rtol=1e-6)


def test_a_run_on_points_and_a_table_without_images_are_refused(table, tmp_path, monkeypatch):
    monkeypatch.setattr(features_from, "load_run", lambda folder: points_run(tmp_path))
    with pytest.raises(UserError, match="is a run on points"):
        write_features(tmp_path, str(table), None, None)
    monkeypatch.setattr(features_from, "load_run", lambda folder: tiny_run(tmp_path, "some"))
    table.write_text("X,Y,S\n1,2,3\n")
    with pytest.raises(UserError, match="names no image file"):
        write_features(tmp_path, str(table), None, None)
