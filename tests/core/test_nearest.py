import torch

from gedi_nesy.core.nearest import nearest


def test_the_nearest_by_hand_and_another_one_than_itself():
    data = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 5.0]])
    distances, rows = nearest(torch.tensor([[3.0, 3.0]]), data)
    assert (distances.tolist(), rows.tolist()) == ([1.0], [1])
    distances, rows = nearest(data[:2], data, itself=True)
    assert (distances.tolist(), rows.tolist()) == ([5.0, 1.0], [1, 2])
