"""Compiled rules on disk: an entry that is not whole, or not ours, is compiled anew and never believed."""

import hashlib
import math
import os

import pytest
import torch

from gedi_nesy import Constraint

RULE = "nn(net, [X], Y, [0,1]) :: d(X,Y). one(X) :- d(X,1)."
BEFORE = {"X": torch.tensor([[0.25, 0.75]]).log()}


def entry_of(folder):
    """The one file of RULE, after it was compiled."""
    for path in (folder / "rules").glob("*"):
        path.unlink()
    assert Constraint(RULE, "one(X)").log_prob(BEFORE).exp().item() == pytest.approx(0.75)
    (path,) = (folder / "rules").iterdir()
    return path


def sealed(content):
    """With the digest that belongs to it."""
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


DAMAGES = {
    "empty": lambda data: b"",
    "cut short": lambda data: data[: len(data) // 2],
    "another rule": lambda data: data.replace(b'"diagram": [[0, [0, 1]]]', b'"diagram": [[0, [1, 0]]]'),
    "no UTF-8": lambda data: b"\xff" + data,
    "a list": lambda data: sealed(b"[]"),
    "a number": lambda data: sealed(b"5"),
    "no mapping": lambda data: sealed(b'{"consulted": []}'),
    "too deep": lambda data: sealed(b"[" * 100_000),
    "unknown values": lambda data: sealed(data.split(b"\n", 1)[1].replace(b'"order": [0]', b'"order": [7]')),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_entry_is_compiled_anew(kind, own_rule_cache):
    path = entry_of(own_rule_cache)
    whole = path.read_bytes()
    path.write_bytes(DAMAGES[kind](whole))
    assert path.read_bytes() != whole
    assert Constraint(RULE, "one(X)").log_prob(BEFORE).item() == pytest.approx(math.log(0.75))
    assert path.read_bytes() == whole


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_an_entry_that_never_ends_is_replaced(make, own_rule_cache):
    path = entry_of(own_rule_cache)
    whole = path.read_bytes()
    path.unlink()
    make(path)
    assert Constraint(RULE, "one(X)").log_prob(BEFORE).item() == pytest.approx(math.log(0.75))
    assert path.read_bytes() == whole
