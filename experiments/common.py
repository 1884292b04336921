"""Shared by the scripts: options, the figures of a run, and results with their command, versions and machine."""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
import torch

from gedi_nesy.cli.group import one_sentence
from gedi_nesy.errors import UserError
from gedi_nesy.files import write_atomically
from gedi_nesy.report.words import SECTIONS, TEST
from gedi_nesy.runs.callbacks import Interrupted
from gedi_nesy.runs.folder import provenance
from gedi_nesy.runs.settings import parse_setting

RESULTS = Path(__file__).parent / "results"
FILE = click.Path(path_type=Path)
PLACES = ("--data-dir", "--runs", "--out")  # options that say where something lies
WHERE = ("device", "machine", "versions")  # of a summary: what its figures depend on beside the settings


class Script(click.Command):
    """What a user can mend, and a stop, end a script with one sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the script."""
        try:
            with one_sentence():
                return super().invoke(ctx)
        except Interrupted as stopped:
            raise click.ClickException(f"Stopped; the same command goes on with {stopped}.") from stopped


class Seeds(click.ParamType):
    """Seeds in a row, as "320-324", first and last, or a single one."""

    name = "seeds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> range:
        """The seeds."""
        first, _, last = str(value).partition("-")
        if not (first.isdecimal() and (last or first).isdecimal() and int(first) <= int(last or first)):
            self.fail(f"{value!r} is neither a seed nor first-last, as 320-324", param, ctx)
        return range(int(first), int(last or first) + 1)


settings_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting of every run; repeatable.",
    callback=lambda ctx, param, texts: dict(map(parse_setting, texts)),
)


def seeds_option(default: str) -> Any:
    """--seeds, first and last."""
    return click.option("--seeds", type=Seeds(), default=default, show_default=True, help="First and last.")


def runs_option(default: str) -> Any:
    """--runs, the folder of the runs, where a finished one is kept and a stopped one resumed."""
    return click.option("--runs", type=FILE, default=Path(default), show_default=True, help="Where the runs are kept.")


def out_option(default: str | None = None) -> Any:
    """--out, where the result is written as JSON, by default into `results`."""
    text = f"[default: experiments/results/{default}]" if default else "Write the result here as JSON."
    return click.option("--out", type=FILE, default=default and RESULTS / default, help=text)


def command(*without: str) -> str:
    """The command as typed, without some options that change no result, such as where data lie on this machine."""
    kept, before = [], ""
    for argument in sys.argv[1:]:
        option, given, _ = argument.partition("=")
        if before in PLACES:
            kept += ["DATA"] if before == "--data-dir" else []
        elif option == "--data-dir":
            kept.append("--data-dir=DATA" if given else option)
        elif option not in PLACES and argument not in without:
            kept.append(Path(argument).name if Path(argument).is_absolute() else argument)
        before = argument
    return shlex.join(["python", f"experiments/{Path(sys.argv[0]).name}", *kept])


def figures_of(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The test figures of a run, in the order of its report."""
    return {key: summary[key] for key in SECTIONS[TEST] if key in summary}


def finished_runs(path: Path) -> list[dict[str, Any]]:
    """The runs in a result, of which there may be none."""
    return json.loads(path.read_text())["runs"] if path.exists() else []


def is_finished(path: Path, run: Mapping[str, Any], about: Mapping[str, Any] = MappingProxyType({})) -> bool:
    """Whether a result has a run with these keys and values.

    Raises:
        UserError: its runs are about something else, such as other settings.
    """
    held = json.loads(path.read_text()) if path.exists() else {}
    for key, value in about.items():
        if held.get(key, value) != value:
            raise UserError(f"{path} has runs with {key} = {held[key]}, not {value}; give another file by --out.")
    return any(run.items() <= finished.items() for finished in finished_runs(path))


def add_run(path: Path, new: Mapping[str, Any], keys: Sequence[str], about: Mapping[str, Any]) -> None:
    """Write a result again with one run more and its command, in the order of some keys, behind what it is about."""
    runs = sorted([*finished_runs(path), {**new, "command": command()}], key=lambda run: [run[key] for key in keys])
    write_result(path, {**about, "runs": runs})


def mean_cell(runs: Sequence[Mapping[str, Any]], key: str) -> str:
    """A cell of a table: the mean of a share in percent, its standard deviation and the number of runs, if any."""
    if not runs:
        return ""
    values = torch.tensor([100.0 * run[key] for run in runs])
    spread = f" ± {values.std():.2f}" if len(runs) > 1 else ""
    return f"{values.mean():.2f}{spread} ({len(runs)})"


def write_result(path: Path, result: Mapping[str, Any], device: str = "cpu") -> None:
    """Write a result with its command, and with the device, machine and versions where it does not name its own."""
    here = {key: value for key, value in provenance(torch.device(device)).items() if key not in result}
    write_json(path, {"command": command(), **result, **here})


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people to read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, f"{json.dumps(value, indent=2)}\n".encode())
