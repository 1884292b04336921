"""What the READMEs and docstrings tell a reader to write is run, or at least understood."""

import doctest
import re
import shlex
from importlib import import_module
from pathlib import Path

import click
import pytest
import torch
import torchvision
from PIL import Image

import gedi_nesy as gn
from gedi_nesy.cli import main
from gedi_nesy.nesy.train import train

ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", ROOT / "experiments" / "README.md", ROOT / "programs" / "README.md"]
TINY = {"restarts": 1, "views": 1, "train.steps": 2, "student.steps": 2, "sampler.steps": 1}
TORCHRUN = "-m gedi_nesy "


def fences(language):
    """The fenced blocks of the READMEs in this language, in their order."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [block for readme in READMES for block in pattern.findall(readme.read_text(encoding="utf-8"))]


def modules_with_examples():
    files = sorted((ROOT / "gedi_nesy").rglob("*.py"))
    return [file.relative_to(ROOT) for file in files if ">>>" in file.read_text(encoding="utf-8")]


@pytest.mark.parametrize("file", modules_with_examples(), ids=str)
def test_the_examples_of_a_module_give_what_they_say(file):
    result = doctest.testmod(import_module(".".join(file.with_suffix("").parts)))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """The folder and the names that a reader of the READMEs has; training takes few examples and steps."""
    monkeypatch.chdir(tmp_path)
    Image.new("L", (28, 28), 90).save("seven.png")
    Path("sums.pl").write_text("nn(digits,[X],Y,[0,1]) :: digit(X,Y). sum(X,Y,S) :- digit(X,A), digit(Y,B), S is A+B.")
    torch.save(torchvision.models.resnet18().state_dict(), "resnet18.pth")

    def tiny(**settings):
        data = {} if "data" in settings else {"dataset": "digits", "examples": 30}
        progress = settings.get("progress", False)
        return train(**settings | data | TINY | {"progress": progress, "notify": lambda notice: None})

    monkeypatch.setattr(gn, "train", tiny)
    p = torch.randn(4, 10).log_softmax(-1)
    return {
        "gn": gn,
        "torch": torch,
        "torchvision": torchvision,
        "images": torch.randint(256, (2, 1, 28, 28), dtype=torch.uint8),
        **dict.fromkeys(("lx", "ly", "lz"), p),
        "inputs": dict.fromkeys("ABCDEF", p[:3]),
        **dict.fromkeys("xy", torch.randint(256, (12, 3, 32, 32), dtype=torch.uint8)),
        "sums": [0, 1, 2] * 4,
    }


def test_the_python_of_the_readmes_runs(reader):
    after = {}
    for block in fences("python"):
        names = dict(reader)  # a block's own names are no other block's
        exec(compile(block, block.splitlines()[0], "exec"), names)
        after |= names
    assert after["network"]((3, 32, 32), 10).fc.out_features == 10
    assert after["run"].summary["examples"] == 12


def test_every_method_of_a_rule_has_an_example():
    (text,) = (block for block in fences("python") if "rule.diagnose" in block)
    public = [name for name in vars(gn.Constraint) if not name.startswith("_")]
    assert [name for name in public if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("text", [block for block in fences("prolog") if "query(" in block])
def test_the_rules_of_the_readmes_compile(text):
    assert gn.Constraint(text).count() in (715, 100)  # four digits that never decrease; the addition table


def commands():
    """The command lines of gedi-nesy in the READMEs and in the help of the commands."""
    blocks = [*fences("sh"), *(command.help or "" for command in subcommands(main))]
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines += [line.split("&&")[-1].strip() for line in lines if "&&" in line]
    own = [line.removeprefix("gedi-nesy ") for line in lines if line.startswith("gedi-nesy ")]
    return own + [line.split(TORCHRUN)[1] for line in lines if line.startswith("torchrun ") and TORCHRUN in line]


def subcommands(group):
    """All commands of a group and of the groups in it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield from subcommands(command) if isinstance(command, click.Group) else [command]


@pytest.mark.parametrize("line", list(dict.fromkeys(commands())))
def test_a_command_line_is_understood(line):
    command, args = main, shlex.split(line, comments=True)
    while isinstance(command, click.Group):
        name, command, args = command.resolve_command(click.Context(command), args)
    context = command.make_context(name, args)  # a usage error if an option or an argument is none
    assert not context.args


def test_there_are_examples_of_every_kind():
    assert len(fences("python")) >= 4
    assert len(commands()) >= 40


def test_the_scripts_that_a_readme_names_exist():
    for readme in READMES:
        for script in re.findall(r"python (experiments/\w+\.py)", readme.read_text(encoding="utf-8")):
            assert (ROOT / script).is_file()
