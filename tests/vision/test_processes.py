"""Two processes (gloo, on CPU) train as one on the joined batch."""

import json
import socket
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from torch import multiprocessing

from gedi_nesy.core import processes
from gedi_nesy.errors import UserError
from gedi_nesy.runs.device import how_started, joined_processes
from gedi_nesy.vision.learner import Learner
from gedi_nesy.vision.recipe import load_recipe
from gedi_nesy.vision.train import resume
from tests.vision.two_processes import CASES, PICTURES, TINY, first_losses, from_the_shell, gradients_on, main


def test_one_gpu_can_not_be_that_of_all_processes(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="a GPU of its own; give --device cuda"), joined_processes("cuda:0"):
        pass


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({}, "gedi-nesy"),
        ({"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "4"}, "torchrun --nproc-per-node 4 -m gedi_nesy"),
        ({"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}, "torchrun ... -m gedi_nesy"),
    ],
)
def test_what_was_stopped_says_how_it_goes_on(sizes, words, monkeypatch):
    for key, value in sizes.items():
        monkeypatch.setenv(key, value)
    assert how_started() == words


@pytest.fixture(scope="module")
def out(cifar, tmp_path_factory):
    """What the two processes left behind."""
    folder = tmp_path_factory.mktemp("two")
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(11)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    multiprocessing.spawn(main, (ports, cifar, folder), nprocs=2)
    return folder


@pytest.mark.parametrize("case", range(len(CASES)))
def test_their_gradient_is_that_of_one_process_on_the_joined_batch(case, out, cifar):
    one, other = (torch.load(out / f"gradients{rank}.pt")[case] for rank in (0, 1))
    assert not torch.equal(one["batch"][0], other["batch"][0])  # each drew its own share
    name, overrides = CASES[case]
    losses = first_losses(name, TINY | overrides, cifar)

    class Joined:
        def draw(self, networks, batch, generator):
            x, views = (torch.cat(pair, 1) for pair in zip(one["batch"], other["batch"], strict=True))
            return None, x, views  # the numbers of the points are for a student

    losses.inputs = Joined()
    losses.advance_chains = lambda: torch.cat([one["chains"], other["chains"]], 1)
    values = losses(0)
    losses.objective(values, 0.0).backward()
    assert set(values) == set(one["losses"])
    for found in (one, other):
        torch.testing.assert_close(found["losses"], {key: value.detach() for key, value in values.items()})
        for name, parameter in losses.networks.named_parameters():
            if parameter.grad is not None:
                torch.testing.assert_close(found["gradients"][name], parameter.grad, rtol=1e-6, atol=1e-12)
    assert all(torch.equal(one["gradients"][name], other["gradients"][name]) for name in one["gradients"])


def test_several_views_are_shared_as_batches_are(out, cifar):
    one, other = (torch.load(out / f"features{rank}.pt") for rank in (0, 1))
    assert not torch.equal(one["views"], other["views"])
    joined = torch.cat([one["views"], other["views"]], 2)
    expected = gradients_on(first_losses("gedi-pictures", PICTURES, cifar), joined)
    for found in (one, other):
        torch.testing.assert_close(found["losses"], expected["losses"])
        torch.testing.assert_close(found["gradients"], expected["gradients"], rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("kind", ["calm", "wild", "pictures"])
def test_they_leave_one_run_behind_and_resume_it_exactly(kind, out):
    assert (out / kind / "interrupted0").exists()  # the second was asked to stop; both did, at the same step
    assert (out / kind / "interrupted1").exists()
    whole, resumed = (load_file(out / kind / name / "model.safetensors") for name in ("whole", "stopped"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    for rank in (0, 1):
        weights = torch.load(out / kind / f"weights{rank}.pt")
        assert all(torch.equal(weights[name], whole[f"networks.{name}"]) for name in weights)


def test_they_go_back_together_when_training_diverges(out):
    returns, again = (
        json.loads((out / "wild" / name / "summary.json").read_text())["returns"] for name in ("whole", "stopped")
    )
    assert returns == again
    assert len(returns) > 0
    rows = [json.loads(line) for line in (out / "wild" / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert [row for row in rows if "return" in row] == returns


def test_each_keeps_its_own_chains(out):
    rows = [json.loads(line) for line in (out / "calm" / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [4, 8]
    checkpoint = torch.load(out / "calm" / "whole" / "checkpoint.pt", weights_only=True)
    assert len(checkpoint["shares"]) == 2
    chains = [share[0]["buffers"]["chains"]["samples"] for share in checkpoint["shares"]]
    assert [len(part) for part in chains] == [4, 4]  # half of the buffer each
    assert not torch.equal(*chains)


def test_their_command_prints_once_and_trains_the_same_run(out):
    assert json.loads((out / "printed0").read_text())["steps"] == 8
    assert (out / "printed1").read_text() == ""
    assert_same_model(out / "shell", out / "calm" / "whole")


@pytest.mark.slow  # three processes that import all there is take half a minute
def test_torchrun_starts_them_from_the_shell(out, cifar, tmp_path):
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "gedi_nesy"]
    command = [*start, *from_the_shell(cifar, tmp_path / "run")]
    ended = subprocess.run(command, capture_output=True, check=True)
    assert json.loads(ended.stdout)["steps"] == 8  # the first process prints, and no other
    assert_same_model(tmp_path / "run", out / "calm" / "whole")


def assert_same_model(first, second):
    started, spawned = (load_file(folder / "model.safetensors") for folder in (first, second))
    assert all(torch.equal(started[name], spawned[name]) for name in spawned)


def test_another_number_of_processes_is_told_to_come_back(out, cifar):
    (out / "calm" / "whole" / "summary.json").unlink()
    with pytest.raises(UserError, match=r"trained by 2 processes and can't go on with 1; .* --nproc-per-node 2"):
        resume(out / "calm" / "whole", data_dir=cifar)


def test_what_cannot_be_shared_is_refused(monkeypatch):
    monkeypatch.setattr(processes, "count", lambda: 3)
    x = torch.zeros(9, 3, 8, 8, dtype=torch.uint8)
    with pytest.raises(UserError, match=r"3 processes can't share train.batch = 8"):
        Learner(load_recipe("paper-cifar10-gedi", TINY), [x], 2)
    settings = TINY | {"train.batch": 9, "sampler.chains": 9, "sampler.buffer": 9, "network.encoder": "resnet18"}
    with pytest.raises(UserError, match="resnet18-groupnorm"):
        Learner(load_recipe("paper-cifar10-gedi-no-gen", settings), [x], 2)
