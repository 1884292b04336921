"""What a program may load without --trust: no code, nothing outside its folder, no device, whatever opens it."""

import os
import shutil

import pytest
import torch

from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.deepproblog import deepproblog_model
from gedi_nesy.logic.program import read_file

DIGIT = "nn(digits, [X], Y, [0,1,2]) :: digit(X,Y). "
CODE = "raise SystemExit('this code must not run')"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "rules"
    folder.mkdir()
    for name in (".py", "code.py", "engine_stack.py"):
        (folder / name).write_text(CODE)
    (folder / "notes.txt").write_text("helper(1).")
    (folder / "helper.pl").write_text("\ufeffhelper(1).")  # with a byte order mark
    (tmp_path / "outside.pl").write_text("helper(1).")
    (folder / "link.pl").symlink_to(tmp_path / "outside.pl")
    return folder


@pytest.mark.parametrize(
    "load",
    [
        *("use_module('.py')", "use_module('code.py')", "use_module('code')", "use_module(library('../code'))"),
        *("consult('../outside.pl')", "consult('link.pl')", "consult('notes.txt')", "consult('/dev/zero')"),
        *("use_module(library(db))", "findall(A,use_module('.py'),L)", "findall(A,consult('../outside.pl'),L)"),
        *("once(use_module('.py'))", "\\+ use_module('.py')", "all(A,use_module('code.py'),L)"),
    ],
)
def test_code_and_files_from_elsewhere_need_trust(folder, load):
    for text in (f":- {load}. q(X) :- digit(X,1).", f"q(X) :- {load}, digit(X,1)."):
        with pytest.raises(UserError, match="pass trust=True, or --trust"):
            Constraint(DIGIT + text, query="q(X)", folder=folder)
    (folder / "rule.pl").write_text(f"{DIGIT}:- {load}. q(X) :- digit(X,1).")
    with pytest.raises(UserError, match="pass trust=True, or --trust"):
        deepproblog_model(read_file(folder / "rule.pl"), {"digits": torch.nn.Linear(1, 3)})


def test_a_builtin_that_imports_by_name_is_refused(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)  # as the current folder is under python -m
    with pytest.raises(UserError, match="set_state/1 can't be used"):
        Constraint(DIGIT + "q(X) :- set_state(a), digit(X,1).", query="q(X)")


def test_no_device_pipe_or_bad_text_is_read(folder):
    os.mkfifo(folder / "pipe.pl")
    (folder / "latin.pl").write_bytes(b"% r\xe9gle")
    (folder / "bad.pl").write_text("a.\nb(")
    for file, message in [
        ("pipe.pl", "no file of text"),
        ("latin.pl", "no text in UTF-8"),
        ("bad.pl", "bad.pl:2:4: Incomplete statement"),
        ("nosuch.pl", "can't be read: No such file"),
    ]:
        with pytest.raises(UserError, match=message):
            Constraint(f":- consult('{file}'). q.", query="q", folder=folder)
    with pytest.raises(UserError, match="/dev/zero is no file of text"):
        Constraint(":- consult('/dev/zero'). q.", query="q", folder=folder, trust=True)


def test_consulted_files_are_checked_like_the_program(folder):
    for text, message in [
        (DIGIT, "must stand in the program itself"),
        ("t(0.3) :: a.", "must stand in the program itself"),
        ("b.\n0.7 :: a; 0.6 :: c.", "helper.pl:2:8: the probabilities of an annotated disjunction exceed 1: 1.3"),
    ]:
        (folder / "helper.pl").write_text(text)
        with pytest.raises(UserError, match=message):
            Constraint(":- consult('helper.pl'). q.", query="q", folder=folder)


def test_the_cache_goes_with_the_folder_and_its_files(folder, tmp_path):
    text = DIGIT + ":- consult('helper'). q(X) :- helper(A), digit(X,A)."
    inputs = {"X": torch.tensor([[0.2, 0.3, 0.5]]).log()}
    first = Constraint(text, query="q(X)", folder=folder)
    assert first.log_prob(inputs).exp().item() == pytest.approx(0.3)
    shutil.copytree(folder, tmp_path / "copy", symlinks=True)
    again = Constraint(text, query="q(X)", folder=tmp_path / "copy")
    assert again.consulted == ((tmp_path / "copy" / "helper.pl").resolve(),)
    (tmp_path / "copy" / "helper.pl").write_text("helper(2).")
    changed = Constraint(text, query="q(X)", folder=tmp_path / "copy")
    assert changed.log_prob(inputs).exp().item() == pytest.approx(0.5)
