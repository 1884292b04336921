"""How long a user waits before anything happens: CPU seconds of short commands, each in fresh processes.

    python experiments/bench_startup.py --out experiments/results/startup.json

The first two rows are Python itself and torch alone, for comparison. The slow packages that a command loads are listed
with it: neither torch nor matplotlib may be loaded before a command needs it.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
from common import Script

from gedi_nesy.runs.device import find_device
from gedi_nesy.runs.folder import provenance

CLI = "from gedi_nesy.cli import main; main({!r})"
ROWS = {
    "python -c pass": "pass",
    "python -c 'import torch'": "import torch",
    "import gedi_nesy": "import gedi_nesy",
    "gedi-nesy --help": CLI.format(["--help"]),
    "gedi-nesy train --help": CLI.format(["train", "--help"]),
    "gedi-nesy check addition": CLI.format(["check", "addition"]),
}
SLOW = ("torch", "matplotlib", "torchvision", "deepproblog")


@click.command(cls=Script)
@click.option(
    "--repeats", default=5, show_default=True, help="Processes a command; the first, which warms up, is left out."
)
@click.option("--out", type=click.Path(path_type=Path), help="A JSON file for the result.")
def main(repeats: int, out: Path | None) -> None:
    """Run the benchmark."""
    found: dict[str, Any] = {}
    for name, code in ROWS.items():
        seconds = [cpu_seconds(code) for _ in range(repeats + 1)][1:]
        found[name] = {"cpu_seconds": statistics.median(seconds), "lowest": min(seconds), "loads": loaded(code)}
        print(f"{name:28} {found[name]['cpu_seconds']:6.2f} s   {', '.join(found[name]['loads'])}")
    if out:
        command = f"python experiments/bench_startup.py --repeats {repeats}"
        result = {"command": command, "rows": found} | provenance(find_device("cpu"))
        out.write_text(json.dumps(result, indent=2) + "\n")


def cpu_seconds(code: str) -> float:
    """User and system time of one process that runs the code."""
    before = os.times()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def loaded(code: str) -> list[str]:
    """Which of the slow packages a process that runs the code has loaded when it ends."""
    names = f"sorted(set({SLOW!r}) & set(sys.modules))"
    watched = f"import atexit, sys; atexit.register(lambda: print('loaded', *{names}, file=sys.stderr))\n{code}"
    end = subprocess.run([sys.executable, "-c", watched], check=True, capture_output=True, text=True).stderr
    return end.split("loaded", 1)[1].split()


if __name__ == "__main__":
    main()
