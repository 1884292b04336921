import pytest
import torch

from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.candidates import Candidates, Shape, network_shapes


def test_restarts_differ_and_repeat_with_their_seed():
    images = torch.rand(2, 1, 28, 28)
    first, again = (Candidates({"digits": Shape(10)}, 2, seed=3)("digits", images) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.allclose(first[0], first[1])


def test_fresh_heads_keep_the_features():
    candidates = Candidates({"digits": Shape(10), "signs": Shape(4)}, 2, seed=0)
    before = {name: tensor.clone() for name, tensor in candidates.state_dict().items()}
    candidates.redraw_heads(seed=1)
    changed = {name for name, tensor in candidates.state_dict().items() if not torch.equal(tensor, before[name])}
    heads = [
        f"nets.{k}.{net}.classifier.4.{part}"
        for k in (0, 1)
        for net in ("digits", "signs")
        for part in ("weight", "bias")
    ]
    assert changed == set(heads)


def test_what_training_cannot_do_is_said():
    shapes = network_shapes(Constraint.from_file("addition"), {"digits": (3, 32, 32)})
    with pytest.raises(UserError, match="mnist_net reads pictures of 28x28 pixels, and these are of shape 3x32x32"):
        Candidates(shapes, 1, seed=0)


def test_other_randomness_is_left_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    Candidates({"digits": Shape(10)}, 1, seed=5).redraw_heads(seed=6)
    assert torch.equal(torch.rand(1), expected)
