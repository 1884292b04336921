"""The pictures of the plane, read back from the figure."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from gedi_nesy.report.plane import CLUSTERS, Plane, clusters_png, density_png

CERTAIN = np.eye(2)[[[0, 1], [1, 0]]]  # [row, column, cluster]
PLANE = Plane("here", (-1.0, 3.0, 0.0, 4.0), CERTAIN, np.array([[-2.0, -8.0], [-14.0, -20.0]]))


@pytest.fixture
def figure(monkeypatch):
    """Where the figure that was last drawn is kept instead of being written."""
    kept = {}
    monkeypatch.setattr("gedi_nesy.report.plane.save", lambda figure, path: kept.update(last=figure))
    return kept


def test_the_colour_of_a_density_is_its_distance_from_the_highest_whatever_the_lowest(figure, tmp_path):
    density_png(tmp_path / "x.png", PLANE, np.zeros((3, 2)))
    (image,) = figure["last"].axes[0].images
    assert image.get_array().tolist() == [[1, 0.5], [0, 0]]  # 12 nats below the highest it is white
    assert image.get_clim() == (0, 1)
    assert image.get_extent() == [-1, 3, 0, 4]


def test_samples_have_a_panel_of_their_own(figure, tmp_path):
    density_png(tmp_path / "x.png", PLANE, np.zeros((3, 2)), np.ones((5, 2)))
    points, samples = (axes.collections[0].get_offsets() for axes in figure["last"].axes)
    assert (points.tolist(), samples.tolist()) == ([[0, 0]] * 3, [[1, 1]] * 5)


def test_the_colour_of_a_place_is_that_of_its_cluster_but_paler(figure, tmp_path):
    clusters_png(tmp_path / "x.png", PLANE, np.zeros((3, 2)))
    colours = figure["last"].axes[0].images[0].get_array()
    for place, cluster in [((0, 0), 0), ((0, 1), 1), ((1, 0), 1)]:
        np.testing.assert_allclose(colours[place], 1 - 0.55 * (1 - np.array(to_rgb(CLUSTERS[cluster]))))
