import json
import math
import os
import zipfile

import pytest
import torch

from gedi_nesy.errors import UserError
from gedi_nesy.files import write_atomically
from gedi_nesy.runs.folder import RunFolder


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
    with pytest.raises(Exception, match=r"pickle|local object"):
        folder.save_checkpoint({"step": lambda: None})
    assert folder.load_checkpoint(torch.device("cpu")) == {"step": 1}
    assert [path.name for path in folder.path.iterdir()] == ["checkpoint.pt"]


def test_a_write_into_a_missing_folder_names_the_target(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"x\.png'$"):
        write_atomically(tmp_path / "nowhere" / "x.png", b"")


def test_a_checkpoint_that_unzips_to_more_than_its_size_is_refused(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    folder.save_checkpoint({"weights": torch.zeros(100_000)})
    with zipfile.ZipFile(folder / "checkpoint.pt") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(folder / "checkpoint.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(UserError, match=r"checkpoint.pt is damaged"):
        folder.load_checkpoint(torch.device("cpu"))


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


def row(step):
    """A row of metrics.jsonl as `watch.Logger` writes it."""
    return {"stage": "train", "step": step, "loss": {"nesy": 0.5}, "weight": {"nesy": 1.0}, "optimum": {}}


def test_metrics_survive_a_line_cut_short_and_rewind(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    for step in (1, 2, 3):
        folder.append_metrics(row(step))
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"step": 4')
    folder.rewind_metrics(lambda row: row["step"] <= 2)
    folder.append_metrics(row(3))
    assert [row["step"] for row in folder.read_metrics()] == [1, 2, 3]


def test_only_files_of_our_own_are_deleted(tmp_path):
    theirs = {".env.production.local": "secret", ".config.toml.swp": "typed", ".lock": "theirs", ".writable": "too"}
    for name, text in theirs.items():
        (tmp_path / name).write_text(text)
    (tmp_path / ".gedi-nesy-notes.part").mkdir()
    (tmp_path / ".gedi-nesy-config.toml-x1.part").write_text("half")
    folder = RunFolder.create(tmp_path)
    with folder.locked():
        folder.write("config.toml", "whole")
    assert {name: (tmp_path / name).read_text() for name in theirs} == theirs
    ours = {".gedi-nesy-lock", ".gedi-nesy-notes.part", "config.toml"}
    assert {path.name for path in tmp_path.iterdir()} - set(theirs) == ours


@pytest.fixture
def foreign(tmp_path):
    """A run folder from somebody else, beside a file of the user's."""
    (tmp_path / "private").write_text("secret\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_text("")
    return RunFolder.open(tmp_path / "run")


READERS = {
    "config.toml": lambda folder: RunFolder.open(folder.path),
    "program.pl": lambda folder: folder.read_text("program.pl"),
    "summary.json": lambda folder: folder.read_json("summary.json"),
    "metrics.jsonl": RunFolder.read_metrics,
    "checkpoint.pt": lambda folder: folder.load_checkpoint(torch.device("cpu")),
    "model.safetensors": RunFolder.load_model,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "device", "folder"])
def test_what_is_no_file_of_the_run_is_refused(name, kind, foreign):
    path = foreign / name
    path.unlink(missing_ok=True)
    make = {
        "link": lambda: path.symlink_to(foreign.path.parent / "private"),
        "dangling": lambda: path.symlink_to("nowhere"),
        "fifo": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "folder": path.mkdir,
    }
    make[kind]()
    with pytest.raises(UserError, match=f"{name} can't be read: "):
        READERS[name](foreign)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_metrics_are_written_into_no_other_file(link, foreign):
    link(foreign.path.parent / "private", foreign / "metrics.jsonl")
    with pytest.raises(UserError, match=r"Can't write .*metrics.jsonl"):
        foreign.append_metrics(row(1))
    assert (foreign.path.parent / "private").read_text() == "secret\n"


def test_a_folder_below_is_no_link_to_another(foreign):
    (foreign / "seed0").symlink_to(foreign.path.parent)
    with pytest.raises(UserError, match="seed0 is a link to another folder"):
        foreign.subfolder("seed0")


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "line",
    ["x", "[1]", "{}", DEEP, '{"stage": 1, "step": 1}', '{"stage": "train", "step": 1.5, "loss": {}}']
    + [json.dumps(row(1) | change) for change in ({"loss": {"nesy": "x"}}, {"weight": {}}, {"each": {"nesy": 1}})],
)
def test_a_row_that_no_run_writes_is_named(line, foreign):
    (foreign / "metrics.jsonl").write_text(f"{json.dumps(row(1))}\n{line}\n")
    with pytest.raises(UserError, match=r"metrics.jsonl, line 2, is none that a run writes"):
        foreign.read_metrics()


@pytest.mark.parametrize(
    "summary",
    [DEEP, '{"accuracy": .5}']
    + [
        json.dumps({"seconds": 1.0} | change)
        for change in (
            {"accuracy": "x"},
            {"seconds": None},
            {"certificate": {"certified": "yes", "failures": [], "D": 0.1}},
            {"probabilities": {"heads": "x"}},
            {"track": "x"},
        )
    ],
)
def test_a_summary_that_no_run_writes_is_damaged(summary, foreign):
    (foreign / "summary.json").write_text(summary)
    with pytest.raises(UserError, match=r"summary.json is damaged"):
        foreign.read_json("summary.json")


def test_a_text_in_another_encoding_is_damaged(foreign):
    (foreign / "program.pl").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"program.pl is damaged and can't be read: it is no text in UTF-8"):
        foreign.read_text("program.pl")


@pytest.mark.parametrize("weight", [torch.tensor([1.0, math.nan]), torch.tensor(math.inf, dtype=torch.bfloat16)])
def test_weights_that_are_no_numbers_are_damaged(weight, foreign):
    foreign.save_model({"net.bias": weight})
    with pytest.raises(UserError, match=r"damaged: net.bias is not finite"):
        foreign.load_model()
