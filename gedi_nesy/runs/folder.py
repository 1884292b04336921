"""The run folder: everything a run leaves behind, written atomically by one process at a time."""

import contextlib
import errno
import io
import json
import os
import platform
import stat
import tomllib
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
import torch
from filelock import FileLock, Timeout
from safetensors.torch import load, save
from torch import Tensor

from gedi_nesy.errors import UserError
from gedi_nesy.files import OURS, PART, open_regular, read_regular, write_atomically
from gedi_nesy.runs.records import check_row, check_summary
from gedi_nesy.runs.track import KINDS, track_of

LARGEST_MODEL = 2**32  # bytes
PACKAGES = ("gedi-nesy", "torch", "torchvision", "deepproblog", "problog", "scikit-learn", "numpy")


class RunFolder:
    """A folder that holds one run: `config.toml`, `metrics.jsonl`, `checkpoint.pt`, `summary.json` and the rest.

    It may come from anybody: its files are read only if they are regular files of its own, no links, and hold what a
    run writes.
    """

    def __init__(self, path: Path):
        self.path = Path(path)

    @classmethod
    def create(cls, path: Path, begun: Mapping[str, str] = MappingProxyType({})) -> "RunFolder":
        """A new, empty run folder.

        Args:
            path: where.
            begun: texts, by file name, that a run writes before its config.toml; a folder that holds some of these and
                nothing else is of a run that was killed while it began, and is as good as new.

        Raises:
            UserError: if the folder already holds something, or can't be written.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            visible = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
            occupied = any(entry.name not in begun or not _holds(entry, begun[entry.name]) for entry in visible)
        except OSError as error:
            raise UserError(
                f"Can't make the run folder {path}: {error.strerror}; choose another with --out."
            ) from error
        if occupied:
            raise UserError(
                f"The run folder {path} is not empty; choose another with --out, or continue it with --resume {path}."
            )
        if not os.access(path, os.W_OK):
            raise UserError(f"The run folder {path} can't be written; choose another with --out.")
        return cls(path)

    @classmethod
    def open(cls, path: Path, tracks: Collection[str] = (*KINDS,)) -> "RunFolder":
        """An existing run folder.

        Args:
            path: where.
            tracks: the tracks that its run may be of.

        Raises:
            UserError: if there is none at this path, or its run is of another kind.
        """
        folder = cls(path)
        if not folder.has("config.toml"):
            raise UserError(f"{path} is not a run folder: it has no config.toml; give the folder that `train` wrote.")
        config = folder.read_text("config.toml")
        settings: dict[str, Any] = {}
        with contextlib.suppress(ValueError, RecursionError):  # whoever reads it says what is wrong
            settings = tomllib.loads(config)
        track = track_of(settings)
        if track in KINDS and track not in tracks:
            raise UserError(f"{path} is {KINDS[track]}.")
        return folder

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def has(self, name: str) -> bool:
        """Whether there is such a file; a link is one too, whether or not it leads anywhere."""
        return os.path.lexists(self / name)

    def subfolder(self, name: str) -> "RunFolder":
        """A folder below this one, made where it is missing.

        Raises:
            UserError: if it can't be made, or is a link to another place.
        """
        path = self / name
        try:
            path.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"Can't make the folder {path}: {error.strerror}.") from error
        if path.is_symlink():
            raise UserError(f"{path} is a link to another folder; a run writes into its own only: remove the link.")
        return RunFolder(path)

    def read_bytes(self, name: str) -> bytes:
        """All bytes of a file of the run.

        Raises:
            UserError: if it can't be read, is too large for what we write, or is no regular file of its own.
        """
        try:
            return read_regular(self / name, follow_links=False)
        except OSError as error:
            raise _unreadable(self / name, error) from error

    def read_text(self, name: str) -> str:
        """A text file of the run.

        Raises:
            UserError: as `read_bytes`, or it is no UTF-8.
        """
        try:
            return self.read_bytes(name).decode()
        except UnicodeDecodeError as error:
            raise UserError(f"{self / name} is damaged and can't be read: it is no text in UTF-8.") from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for writing.

        Raises:
            UserError: if another process is writing to it.
        """
        lock = FileLock(self / f"{OURS}lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UserError(
                f"Another process is writing to {self.path}; wait for it to end, or choose another --out."
            ) from error
        except OSError as error:
            raise UserError(f"Can't write to {self.path}: {error.strerror}.") from error
        with lock:
            for left_behind in self.path.glob(f"{OURS}*{PART}"):  # a write that was killed
                if left_behind.is_file():
                    left_behind.unlink()
            yield

    def write(self, name: str, text: str) -> None:
        """Write a text file as a whole or not at all.

        Raises:
            UserError: if it can't be written.
        """
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise UserError(
                f"Can't write {self / name}: {text[error.start - 20 : error.end + 20]!r} is no UTF-8; rename the file."
            ) from error
        self._write(name, data)

    def write_arrays(self, name: str, arrays: Mapping[str, Any]) -> None:
        """Write tensors or arrays as an .npz file, as a whole or not at all.

        Raises:
            UserError: it can't be written, or an array is of Python objects.
        """
        plain = {key: np.asarray(values) for key, values in arrays.items()}
        for key, array in plain.items():
            if array.dtype.hasobject:
                raise UserError(f"{key} holds Python objects; give numbers or strings.")
        buffer = io.BytesIO()
        np.savez(buffer, **plain)  # type: ignore[arg-type]
        self._write(name, buffer.getvalue())

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Write a JSON file as a whole or not at all."""
        self.write(name, json.dumps(value, indent=2) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file that this run wrote.

        Raises:
            UserError: if the run has not got that far, or the file is damaged.
        """
        if not self.has(name):
            raise UserError(f"{self.path} has no {name} yet; finish the run with --resume {self.path}.")
        text = self.read_text(name)
        try:
            values = json.loads(text)
            check_summary(values)
            return dict(values)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{self / name} is damaged and can't be read; delete it, and finish the run again with "
                f"--resume {self.path} ({error})."
            ) from error

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Save the training state as a whole or not at all; a crash leaves the checkpoint before."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        self._write("checkpoint.pt", buffer.getvalue())

    def load_checkpoint(self, device: torch.device) -> dict[str, Any] | None:
        """The training state that was last saved, its tensors on `device`; None if the run ended before it saved one.

        Raises:
            UserError: if the checkpoint is damaged.
        """
        path = self / "checkpoint.pt"
        if not self.has("checkpoint.pt"):
            return None
        try:
            with open_regular(path, follow_links=False) as file:
                _refuse_compressed(file)
                return dict(torch.load(file, map_location=device, weights_only=True))
        except OSError as error:
            raise _unreadable(path, error) from error
        except Exception as error:  # torch raises whatever the damaged bytes make it raise
            raise UserError(f"{path} is damaged and can't be loaded; start a new run with another --out.") from error

    def save_model(self, state: dict[str, Tensor]) -> None:
        """Save the trained network's weights as `model.safetensors`."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        self._write("model.safetensors", save(tensors))

    def load_model(self) -> dict[str, Tensor]:
        """The trained network's weights.

        Raises:
            UserError: if the run has none yet, the file is damaged, or a weight is not a finite number.
        """
        path = self / "model.safetensors"
        if not self.has("model.safetensors"):
            raise UserError(f"{self.path} has no trained model yet; finish the run with --resume {self.path}.")
        try:
            weights = dict(load(read_regular(path, follow_links=False, most=LARGEST_MODEL)))
        except OSError as error:
            raise _unreadable(path, error) from error
        except Exception as error:  # safetensors raises its own error type, which is not public
            raise UserError(f"{path} is damaged and can't be loaded; train again with another --out.") from error
        for name, weight in weights.items():
            if not weight.float().isfinite().all():
                raise UserError(f"{path} is damaged: {name} is not finite everywhere; train again with another --out.")
        return weights

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Add one line to `metrics.jsonl`.

        Raises:
            UserError: if that is no regular file of the folder's own.
        """
        self.append("metrics.jsonl", json.dumps(row) + "\n")

    def append(self, name: str, text: str) -> None:
        """Add to the end of a text file.

        Raises:
            UserError: if that is no regular file of the folder's own.
        """
        path = self / name
        try:
            with open(path, "a", encoding="utf-8", newline="", opener=_open_own) as file:
                file.write(text)
        except OSError as error:
            raise UserError(f"Can't write {path}: {error.strerror}.") from error

    def read_metrics(self) -> list[dict[str, Any]]:
        """The rows logged so far, without a last line that a crash cut short.

        Raises:
            UserError: if a row is not one that a run writes.
        """
        if not self.has("metrics.jsonl"):
            return []
        rows = []
        for number, line in enumerate(self.read_text("metrics.jsonl").split("\n")[:-1], 1):
            try:
                rows.append(json.loads(line))
                check_row(rows[-1])
            except (ValueError, RecursionError) as error:
                raise UserError(
                    f"{self / 'metrics.jsonl'}, line {number}, is none that a run writes ({error}); delete the file, "
                    f"the run goes on without its curves."
                ) from error
        return rows

    def rewind_metrics(self, keep: Callable[[dict[str, Any]], bool]) -> None:
        """Drop the rows that a resumed run will log again."""
        rows = [row for row in self.read_metrics() if keep(row)]
        self.write("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    def _write(self, name: str, data: bytes) -> None:
        try:
            write_atomically(self / name, data)
        except OSError as error:
            raise UserError(f"Can't write {self / name}: {error.strerror}.") from error


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path} can't be read: {error.strerror}.")


def _refuse_compressed(file: BinaryIO) -> None:
    """ValueError unless a checkpoint's members are uncompressed, as torch writes them: no small file may unzip to more
    than the memory holds.
    """
    with zipfile.ZipFile(file) as archive:
        unzipped = sum(member.file_size for member in archive.infolist())
    if unzipped > file.seek(0, os.SEEK_END):
        raise ValueError(f"it unzips to {unzipped:,} bytes")
    file.seek(0)


def _open_own(path: str, flags: int) -> int:
    """Open a file for writing that belongs to its folder alone: a link would let us write into somebody's file."""
    descriptor = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o644)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file of this folder alone, remove it", path)
    return descriptor


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and read_regular(path) == text.encode()


def provenance(device: torch.device) -> dict[str, Any]:
    """What a number depends on besides the settings: versions, machine and device."""
    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else platform.processor() or platform.machine()
    machine = {
        "system": platform.platform(),
        "processor": name,
        "instructions": torch.backends.cpu.get_cpu_capability(),  # AVX2 rounds differently from AVX512
        "threads": torch.get_num_threads(),
    }
    return {
        "device": str(device),
        "machine": machine,
        "versions": {"python": platform.python_version()} | {package: version(package) for package in PACKAGES},
    }
