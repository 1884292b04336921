"""Two processes (gloo, on CPU) train on a rule as one on the joined batch."""

import json
import socket

import pytest
import torch
from safetensors.torch import load_file
from torch import multiprocessing

from gedi_nesy.core import processes
from gedi_nesy.errors import UserError
from gedi_nesy.nesy.learner import Learner
from gedi_nesy.nesy.recipe import load_recipe
from gedi_nesy.nesy.shares import own_rows
from gedi_nesy.nesy.train import resume
from tests.nesy.two_processes import CASES, computed, first_losses, main


@pytest.mark.parametrize(("rank", "share"), [(0, [5, 6, 7]), (1, [8, 9, 5])])
def test_shares_are_of_one_size(rank, share, monkeypatch):
    monkeypatch.setattr(processes, "count", lambda: 2)
    monkeypatch.setattr(processes, "rank", lambda: rank)
    assert own_rows(torch.arange(5, 10)).tolist() == share


def test_chains_that_cannot_be_shared_are_refused(addition, loader, monkeypatch):
    monkeypatch.setattr(processes, "count", lambda: 3)
    with pytest.raises(UserError, match=r"3 processes can't share sampler.chains = 32; make it a multiple"):
        Learner(load_recipe("gedi-nesy-few", {"matching.neighbours": 3}), addition, loader.examples, print)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """What the two processes left behind."""
    folder = tmp_path_factory.mktemp("two")
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(5)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    multiprocessing.spawn(main, (ports, folder), nprocs=2)
    return folder


@pytest.mark.parametrize("case", range(len(CASES)))
def test_their_gradient_is_that_of_one_process_on_the_joined_batch(case, out):
    one, other = (torch.load(out / f"gradients{rank}.pt")[case] for rank in (0, 1))
    samples = {name: torch.cat([x, other["samples"][name]]) for name, x in one["samples"].items()}
    whole = computed(first_losses(CASES[case]), samples)
    for found in (one, other):
        torch.testing.assert_close(found["losses"], whole["losses"])
        torch.testing.assert_close(found["gradients"], whole["gradients"], rtol=1e-6, atol=1e-12)
    assert all(torch.equal(one["gradients"][name], other["gradients"][name]) for name in one["gradients"])


def test_they_leave_one_run_behind_and_resume_it_exactly(out):
    assert (out / "interrupted0").exists()  # the second was asked to stop; both did, at the same step
    assert (out / "interrupted1").exists()
    whole, resumed = (load_file(out / name / "model.safetensors") for name in ("whole", "stopped"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    for rank in (0, 1):
        weights = torch.load(out / f"weights{rank}.pt")
        assert all(torch.equal(value, whole[name]) for name, value in weights.items())


def test_each_keeps_its_own_chains(out):
    checkpoint = torch.load(out / "whole" / "checkpoint.pt", weights_only=True)
    chains = [share[0]["buffers"]["digits"]["samples"] for share in checkpoint["shares"]]
    assert [len(part) for part in chains] == [8, 8]  # half of the buffer each
    assert not torch.equal(*chains)


def test_they_go_back_together_when_the_chains_of_one_run_away(out):
    summary = json.loads((out / "wild" / "summary.json").read_text())
    assert [(entry["stage"], entry["factor"]) for entry in summary["returns"]] == [("student", 0.5)]
    assert "chains have left the finite numbers" in summary["returns"][0]["reason"]


def test_another_number_of_processes_is_told_to_come_back(out):
    (out / "whole" / "summary.json").unlink()
    with pytest.raises(UserError, match=r"trained by 2 processes and can't go on with 1; .* --nproc-per-node 2"):
        resume(out / "whole", progress=False)
