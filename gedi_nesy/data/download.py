"""Downloads that give up: after ten seconds without a new byte, whatever the network is doing."""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 10.0  # seconds without a new byte


def download(fetch: Callable[[str], object], root: Path, patience: float | None = None) -> str | None:
    """Let `fetch` download into a scratch folder, then move its files into `root`, one by one, atomically.

    A thread does it, because name look-up can't be given a time limit; the thread is left behind when it hangs.

    Args:
        fetch: downloads into the folder given to it and checks the files; it may raise anything.
        root: where the files go in the end; made if need be.
        patience: seconds without a new byte after which the download is given up; PATIENCE if None.

    Returns:
        None when it worked, else why it did not, in words that follow "and".
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".download-", dir=root))
    except OSError as error:
        return f"the cache folder {root} can't be written ({error.strerror})"
    try:
        why = _run(fetch, scratch, PATIENCE if patience is None else patience)
        if why is None:
            _move(scratch, root)
        return why
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run(fetch: Callable[[str], object], scratch: Path, patience: float) -> str | None:
    errors: list[Exception] = []
    given_up = threading.Event()

    def work() -> None:
        try:
            fetch(str(scratch))
        except Exception as error:  # whatever it was, the caller is told
            errors.append(error)
        if given_up.is_set():
            shutil.rmtree(scratch, ignore_errors=True)  # a straggler that wrote after all

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    size, since = -1, time.monotonic()
    while worker.is_alive():
        worker.join(0.1)
        now = sum(f.stat().st_size for f in scratch.rglob("*") if f.is_file())
        if now != size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > patience:
            given_up.set()
            return f"the download was given up after {patience:g} seconds without a byte"
    return f"the download failed ({_last_line(errors[0])})" if errors else None


def _last_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()


def _move(scratch: Path, root: Path) -> None:
    for file in sorted(f for f in scratch.rglob("*") if f.is_file()):
        target = root / file.relative_to(scratch)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, target)
