"""The run folder: everything a run leaves behind, written atomically by one process at a time."""

import contextlib
import io
import json
import os
import platform
import signal
import tempfile
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors.torch import load_file, save
from torch import Tensor

from gedi_nesy.errors import UserError

PACKAGES = ("gedi-nesy", "torch", "torchvision", "deepproblog", "problog", "scikit-learn", "numpy")


class RunFolder:
    """A folder that holds one run: `config.toml`, `metrics.jsonl`, `checkpoint.pt`, `summary.json` and the rest."""

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
    def open(cls, path: Path, has_rule: bool | None = None) -> "RunFolder":
        """An existing run folder.

        Args:
            path: of it.
            has_rule: whether it must be that of a run on a rule, or must not be.

        Raises:
            UserError: if there is none at this path, or it is that of another kind of run.
        """
        if not (path / "config.toml").is_file():
            raise UserError(f"{path} is not a run folder: it has no config.toml; give the folder that `train` wrote.")
        with contextlib.suppress(tomllib.TOMLDecodeError, UnicodeDecodeError):  # whoever reads it says what is wrong
            settings = tomllib.loads((path / "config.toml").read_text(encoding="utf-8"))
            if has_rule is False and "program" in settings:
                raise UserError(f"{path} is a run on a rule: use the commands of gedi-nesy, without vision.")
            if has_rule is True and "network" in settings:
                raise UserError(f"{path} is a run of the vision track, without a rule: use gedi-nesy vision.")
        return cls(path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for writing.

        Raises:
            UserError: if another process is writing to it.
        """
        lock = FileLock(self / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UserError(
                f"Another process is writing to {self.path}; wait for it to end, or choose another --out."
            ) from error
        except OSError as error:
            raise UserError(f"Can't write to {self.path}: {error.strerror}.") from error
        with lock:
            for left_behind in self.path.glob(".*.*.*"):  # a write that was killed
                left_behind.unlink()
            yield

    def write(self, name: str, text: str) -> None:
        """Write a text file as a whole or not at all."""
        self._write(name, text.encode())

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Write a JSON file as a whole or not at all."""
        self.write(name, json.dumps(value, indent=2) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file that this run wrote.

        Raises:
            UserError: if the run has not got that far.
        """
        if not (self / name).is_file():
            raise UserError(f"{self.path} has no {name} yet; finish the run with --resume {self.path}.")
        try:
            return dict(json.loads((self / name).read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise UserError(
                f"{self / name} is damaged and can't be read; delete it, and finish the run again with "
                f"--resume {self.path}."
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
        if not path.is_file():
            return None
        try:
            return dict(torch.load(path, map_location=device, weights_only=True))
        except Exception as error:  # torch raises whatever the damaged bytes make it raise
            raise UserError(f"{path} is damaged and can't be loaded; start a new run with another --out.") from error

    def save_model(self, state: dict[str, Tensor]) -> None:
        """Save the trained network's weights as `model.safetensors`."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        self._write("model.safetensors", save(tensors))

    def load_model(self) -> dict[str, Tensor]:
        """The trained network's weights.

        Raises:
            UserError: if the run has none yet, or the file is damaged.
        """
        path = self / "model.safetensors"
        if not path.is_file():
            raise UserError(f"{self.path} has no trained model yet; finish the run with --resume {self.path}.")
        try:
            return dict(load_file(path))
        except Exception as error:  # safetensors raises its own error type, which is not public
            raise UserError(f"{path} is damaged and can't be loaded; train again with another --out.") from error

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Add one line to `metrics.jsonl`."""
        with open(self / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def read_metrics(self) -> list[dict[str, Any]]:
        """The rows logged so far; a last line that a crash cut short is not one."""
        path = self / "metrics.jsonl"
        if not path.is_file():
            return []
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def rewind_metrics(self, keep: Callable[[dict[str, Any]], bool]) -> None:
        """Drop the rows that a resumed run will log again."""
        rows = [row for row in self.read_metrics() if keep(row)]
        self.write("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    def _write(self, name: str, data: bytes) -> None:
        try:
            write_atomically(self / name, data)
        except OSError as error:
            raise UserError(f"Can't write {self / name}: {error.strerror}.") from error


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


def write_atomically(path: Path, data: bytes) -> None:
    """Write beside the target, flush to the disk, then rename: readers see the old file or the new one, never half.

    Raises:
        OSError: the folder is missing or can't be written; nothing has changed then.
    """
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # the user knows the target's name only
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes it private
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


class StopRequest:
    """Whether Ctrl-C or SIGTERM asked the run to stop; the loop looks between steps, so that none is cut in two."""

    def __init__(self) -> None:
        self.requested = False

    def __bool__(self) -> bool:
        return self.requested


@contextlib.contextmanager
def stop_on_signal(answer: Callable[[], None] = lambda: None) -> Iterator[StopRequest]:
    """Turn the first Ctrl-C or SIGTERM into a request; a second one interrupts at once.

    Signals reach the main thread only; elsewhere the request never comes.

    Args:
        answer: called when the request comes, so that whoever asked sees that it was heard.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def handle(number: int, frame: object) -> None:
        request.requested = True
        restore()
        answer()

    for number in previous:
        signal.signal(number, handle)
    try:
        yield request
    finally:
        restore()


def provenance(device: torch.device) -> dict[str, Any]:
    """What a number depends on besides the settings: versions, machine and device."""
    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else platform.processor() or platform.machine()
    machine = {
        "system": platform.platform(),
        "processor": name,
        "instructions": torch.backends.cpu.get_cpu_capability(),  # AVX2 rounds otherwise than AVX512
        "threads": torch.get_num_threads(),
    }
    return {
        "device": str(device),
        "machine": machine,
        "versions": {"python": platform.python_version()} | {package: version(package) for package in PACKAGES},
    }
