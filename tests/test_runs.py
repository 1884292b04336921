import os
import signal

import pytest
import torch

from gedi_nesy.errors import UserError
from gedi_nesy.runs import RunFolder, stop_on_signal, write_atomically


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty; choose another with --out"):
        RunFolder.create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_start_that_was_killed_is_made_again_and_a_users_file_left_alone(tmp_path):
    (tmp_path / "program.pl").write_text("rule.\n")
    RunFolder.create(tmp_path, begun={"program.pl": "rule.\n"})
    with pytest.raises(UserError, match="not empty"):
        RunFolder.create(tmp_path, begun={"program.pl": "another rule.\n"})
    (tmp_path / "config.toml").write_text("")
    with pytest.raises(UserError, match="not empty"):
        RunFolder.create(tmp_path, begun={"program.pl": "rule.\n"})


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Can't make the run folder"):
        RunFolder.create(tmp_path / "file" / "run")


def test_a_failed_write_leaves_the_file_before(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    folder.save_checkpoint({"step": 1})
    with pytest.raises(Exception, match="pickle"):
        folder.save_checkpoint({"step": lambda: None})
    assert folder.load_checkpoint(torch.device("cpu")) == {"step": 1}
    assert [path.name for path in folder.path.iterdir()] == ["checkpoint.pt"]


def test_a_write_into_a_missing_folder_names_the_target(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"x\.png'$"):
        write_atomically(tmp_path / "nowhere" / "x.png", b"")


def test_a_damaged_checkpoint_is_one_sentence(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    folder.save_checkpoint({"weights": torch.randn(1000)})
    data = (folder / "checkpoint.pt").read_bytes()
    (folder / "checkpoint.pt").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="is damaged"):
        folder.load_checkpoint(torch.device("cpu"))


def test_only_one_process_writes(tmp_path):
    first, second = RunFolder.create(tmp_path / "run"), RunFolder(tmp_path / "run")
    with first.locked(), pytest.raises(UserError, match="Another process"), second.locked():
        pass
    with second.locked():
        pass


def test_metrics_survive_a_line_cut_short_and_rewind(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    for step in (1, 2, 3):
        folder.append_metrics({"step": step})
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"step": 4')
    folder.rewind_metrics(lambda row: row["step"] <= 2)
    folder.append_metrics({"step": 3})
    assert [row["step"] for row in folder.read_metrics()] == [1, 2, 3]


def test_the_first_signal_is_a_request_and_the_handler_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signal() as stop:
        assert not stop
        os.kill(os.getpid(), signal.SIGINT)
        assert stop
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)  # the second one interrupts at once
    assert signal.getsignal(signal.SIGINT) is before
