"""The folder of a run that is started, or continued."""

from collections.abc import Collection, Mapping
from itertools import chain, count
from pathlib import Path

from gedi_nesy.core import processes
from gedi_nesy.errors import UserError
from gedi_nesy.runs.folder import RunFolder


def new_folder(out: str | Path | None, name: str, files: Mapping[str, str]) -> RunFolder:
    """A new run folder; of several processes the first makes it for all.

    Args:
        out: where; by default the first free `runs/<name>[-<n>]`.
        name: of the run.
        files: the texts that it begins with, by file name, config.toml last: where that is missing, the run was killed
            while it began, and the folder is as good as new.

    Raises:
        UserError: if the folder holds something else, or can't be written.
    """
    if processes.rank() > 0:
        return RunFolder(processes.from_first(None))
    begun = {file: text for file, text in files.items() if file != "config.toml"}
    folder = RunFolder.create(Path(out) if out else _first_free(name), begun)
    for file, text in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        folder.write(file, text)
    return RunFolder(processes.from_first(folder.path))


def open_unfinished(folder: str | Path, tracks: Collection[str], look_at: str) -> RunFolder:
    """The folder of a run that is to be continued.

    Args:
        folder: the run's.
        tracks: the tracks that the run may be of.
        look_at: what shows a finished run.

    Raises:
        UserError: if there is no run, or nothing left of it to do.
    """
    run = RunFolder.open(Path(folder), tracks)
    if (run / "summary.json").is_file():
        raise UserError(f"The run {folder} is finished, there is nothing to resume; look at {look_at}.")
    return run


def _first_free(name: str) -> Path:
    candidates = chain([Path("runs") / name], (Path("runs") / f"{name}-{n}" for n in count(2)))
    return next(path for path in candidates if not path.exists())
