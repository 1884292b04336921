"""The examples that an experiment draws for a rule."""

import torch
from settings import ZIPF, Inputs, Task, draw, listed

N = 40
SUMS = [{"X": a, "Y": b, "S": a + b} for a in range(3) for b in range(3)]


def task(weights=None, **settings):
    """Pairs of three symbols with their sums; input k is the vector [k], and its symbol is k % 3."""
    x, y = torch.arange(300.0).unsqueeze(1), torch.arange(300) % 3
    inputs = Inputs(x, y, x[:3], y[:3], features=-x)
    return Task({"digits": inputs}, dict.fromkeys("XY", "digits"), listed(SUMS, "XY", weights), **settings)


def test_examples_satisfy_the_rule_and_use_each_input_once():
    drawn = draw(task(labelled=2), N, seed=0)
    symbols = {image: drawn.data[image][:, 0].long() % 3 for image in "XY"}
    assert (symbols["X"] + symbols["Y"]).tolist() == drawn.data["S"]
    assert torch.equal(drawn.data["X_features"], -drawn.data["X"])
    used, labelled = drawn.used["digits"].tolist(), drawn.labels["digits"].tolist()
    assert len({*used, *labelled}) == 2 * N + 6
    assert sorted(row % 3 for row in labelled) == [0, 0, 1, 1, 2, 2]


def test_broken_examples_are_named_and_the_others_hold():
    drawn = draw(task(broken=0.2), N, seed=0)
    sums = (drawn.data["X"][:, 0] % 3 + drawn.data["Y"][:, 0] % 3).tolist()
    assert drawn.broken == [k for k in range(N) if sums[k] != drawn.data["S"][k]]
    assert len(drawn.broken) == 8


def test_weights_make_symbols_rare():
    weights = [ZIPF[row["X"]] ** 8 for row in SUMS]  # 1 instead of 0 once in 256 times
    first = draw(task(weights), N, seed=0).data["X"][:, 0].long() % 3
    assert (first == 0).sum() >= N - 2
