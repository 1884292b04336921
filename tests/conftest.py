import json
import signal

import networkx  # noqa: F401  # once, and not in each child process that compiles a rule
import pytest
import torch
from click.testing import CliRunner

from gedi_nesy.cli import main
from gedi_nesy.data import DataUnavailable, Images, load_images
from gedi_nesy.logic import Constraint


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors are faster on one thread, and results do not depend on the machine's number of cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def interruptible():
    """Ctrl-C works, though a script that starts the tests in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def images() -> Images:
    """Real MNIST where GEDI_NESY_DATA or the cache has it, otherwise scikit-learn's digits; never a download."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gedi_nesy.data.mnist.fetch", _no_network)
        try:
            return load_images("mnist")
        except DataUnavailable:
            return load_images("digits")


@pytest.fixture
def no_pictures(monkeypatch):
    """Runs leave no pictures behind: they take longer than a few steps of training."""
    for track in ("nesy", "vision"):
        monkeypatch.setattr(f"gedi_nesy.{track}.results.draw_pictures", lambda *of_the_run: None)


@pytest.fixture(autouse=True, scope="session")
def own_rule_cache(tmp_path_factory):
    """Compiled rules go to a folder of this session, so that no test depends on an earlier run."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gedi_nesy.logic.cache.user_cache_path", lambda name: folder / name)
        yield folder / "gedi-nesy"


@pytest.fixture(scope="session")
def addition():
    return Constraint.from_file("addition")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder of a finished run of a few steps on scikit-learn's digits, and what the command printed as JSON.

    All tests of a process share it, and leave it as it is.
    """
    out = tmp_path_factory.mktemp("trained") / "run"
    settings = ["matching.chains=8", "matching.sweeps=5", "train.steps=2", "student.steps=2", "sampler.steps=1"]
    options = [part for setting in settings for part in ("--set", setting)]
    command = ["train", "--dataset", "digits", "--examples", "30", "--out", str(out), "--json", *options]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    return out, json.loads(result.stdout)


def _no_network(*args):
    raise DataUnavailable("no downloads in tests")
