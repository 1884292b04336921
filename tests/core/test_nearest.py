import torch
from sklearn.neighbors import kneighbors_graph

from gedi_nesy.core.nearest import nearest, nearest_rows


def test_the_nearest_by_hand_and_another_one_than_itself():
    data = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 5.0]])
    distances, rows = nearest(torch.tensor([[3.0, 3.0]]), data)
    assert (distances.tolist(), rows.tolist()) == ([1.0], [1])
    distances, rows = nearest(data[:2], data, itself=True)
    assert (distances.tolist(), rows.tolist()) == ([5.0, 1.0], [1, 2])


def test_the_nearest_rows_are_exact_where_they_are_found_in_parts(monkeypatch):
    x = torch.randn(50, 40, generator=torch.Generator().manual_seed(0))
    expected = kneighbors_graph(x.numpy(), 6, include_self=True).toarray()
    monkeypatch.setattr("gedi_nesy.core.nearest.CHUNK", 7)
    found = torch.zeros(50, 50).scatter_(1, nearest_rows(x, 6), 1.0)
    assert (found.numpy() == expected).all()
