"""What the experiments share: ranges of seeds, and results that say how they were made."""

import json

import click
import pytest
from click.testing import CliRunner
from common import Script, Seeds, command, write_result

from gedi_nesy.errors import UserError
from gedi_nesy.runs.callbacks import Interrupted


@pytest.mark.parametrize(("text", "seeds"), [("320-324", [320, 321, 322, 323, 324]), ("7", [7]), ("7-7", [7])])
def test_seeds_are_first_and_last(text, seeds):
    assert list(Seeds().convert(text, None, None)) == seeds


@pytest.mark.parametrize("text", ["", "9-3", "a-b", "-3", "1-2-3"])
def test_what_is_no_range_of_seeds_is_refused(text):
    with pytest.raises(click.BadParameter, match="neither a seed nor first-last"):
        Seeds().convert(text, None, None)


def test_the_command_leaves_out_what_is_of_this_machine(monkeypatch):
    typed = ["/a/b/ood.py", "--data-dir", "/a/data", "--seeds=1", "--data-dir=/b", "--only-write"]
    monkeypatch.setattr("sys.argv", typed)
    assert command("--only-write") == "python experiments/ood.py --data-dir DATA --seeds=1 --data-dir=DATA"


def test_a_result_keeps_the_machine_of_its_runs(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["x.py"])
    write_result(tmp_path / "new" / "x.json", {"rows": [1], "machine": "theirs"})
    written = json.loads((tmp_path / "new" / "x.json").read_text())
    assert list(written)[:3] == ["command", "rows", "machine"]
    assert written["machine"] == "theirs"
    assert {"device", "versions"} <= set(written)


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (UserError("Give more."), "Error: Give more.\n"),
        (FileNotFoundError(2, "No such file", "a.npz"), "Error: a.npz: No such file.\n"),
        (Interrupted("runs/a"), "Error: Stopped; the same command goes on with runs/a.\n"),
    ],
)
def test_a_script_ends_with_a_sentence(raised, said):
    @click.command(cls=Script)
    def main():
        raise raised

    done = CliRunner().invoke(main, [])
    assert (done.exit_code, done.output) == (1, said)
