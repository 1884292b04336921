"""AUROC of scores."""

import pytest
import torch

from gedi_nesy.core.ood import auroc, auroc_table


def test_auroc_by_hand():
    # of the 2 x 3 pairs the familiar example wins 4, and one is a tie: (4 + .5) / 6
    assert auroc(torch.tensor([3.0, 1.0]), torch.tensor([0.0, 1.0, 2.0])) == pytest.approx(4.5 / 6)


def test_a_table_has_every_score_of_every_kind_on_equal_numbers():
    familiar = torch.arange(10.0)
    table = auroc_table(
        lambda x: {"x": x, "-x": -x}, familiar, {"above": familiar + 100, "below": -familiar[:4] - 1, "same": familiar}
    )
    assert table["above"] == {"images": 10, "x": 0.0, "-x": 1.0}
    assert table["below"] == {"images": 4, "x": 1.0, "-x": 0.0}
    assert table["same"] == {"images": 10, "x": 0.5, "-x": 0.5}
