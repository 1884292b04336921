import pytest
import torch

from gedi_nesy.views.drawings import Warp
from gedi_nesy.views.strokes import stroke_histograms


def bars():
    """A bar down, a bar across and a cross, [3, 28, 28]."""
    x = torch.zeros(3, 28, 28)
    x[0, 4:24, 13:15] = 1
    x[1, 13:15, 4:24] = 1
    return torch.cat([x[:2], (x[0] + x[1]).clamp(max=1).unsqueeze(0)])


def test_a_drawing_and_its_shifted_copy_are_alike_and_another_is_not():
    x = bars()
    likeness = stroke_histograms(torch.cat([x, x.roll(3, 2), 2 * x])) @ stroke_histograms(x).T
    assert likeness[:3].diagonal().tolist() == pytest.approx([1] * 3)  # of length 1
    assert likeness[3:6].diagonal().min() > 0.95  # its place is forgiven
    assert likeness[6:].diagonal().tolist() == pytest.approx([1] * 3, abs=0.02)  # and how hard the pen was pressed
    assert likeness[0, 1] < 0.5


def test_a_gradient_counts_for_its_own_direction():
    """Stripes down have gradients across, the first and the fifth of 8 directions; stripes across the two at a right
    angle to these."""
    stripes = (torch.arange(28) // 4 % 2).float().expand(28, 28)
    found = stroke_histograms(torch.stack([stripes, stripes.T])).view(2, 8, 10, 10)[:, :, 3:7, 3:7].sum((2, 3))
    for own, directions in zip(found, ([0, 4], [2, 6]), strict=True):
        assert own[directions].sum() > 0.99 * own.sum()


def test_warped_drawings_find_the_drawing_that_they_are_of():
    x = bars().repeat_interleave(10, 0).unsqueeze(1)
    warped = Warp()(x, 0.0, torch.Generator().manual_seed(0))[:, 0]
    nearest = (stroke_histograms(warped) @ stroke_histograms(bars()).T).argmax(1)
    assert (nearest == torch.arange(3).repeat_interleave(10)).float().mean() > 0.9


def test_as_they_are_a_drawing_and_its_shifted_copy_differ():
    x = bars()
    likeness = (stroke_histograms(x.roll(6, 2), upright=False) * stroke_histograms(x, upright=False)).sum(1)
    assert likeness[0] < 0.5  # the bar down has moved to the side
    assert likeness[1] > 0.5  # the bar across is still on its row
