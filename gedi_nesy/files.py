"""Files that may come from anybody are read only if they are regular (a FIFO may block, a device never ends); our own
are written whole or not at all."""

import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO

OURS = ".gedi-nesy-"  # begins the names of the files that we hide in a user's folder, and may delete there
PART = ".part"  # ending of their names while they are not yet whole
BYTES = 2**28  # most bytes of a text: more is no text of ours, and would not fit the memory


def open_regular(path: Path, *, follow_links: bool = True) -> BinaryIO:
    """Open a regular file for reading.

    Args:
        path: of the file.
        follow_links: whether the file itself, folders above it apart, may be a symbolic link.

    Raises:
        OSError: there is none, or it is a FIFO, a device or a folder, or a link where links are not followed.
    """
    if not follow_links and path.is_symlink():  # what comes in between is refused below, in the system's words
        raise OSError(errno.ELOOP, "it is a link to another file", str(path))
    special = getattr(os, "O_NONBLOCK", 0) | (0 if follow_links else getattr(os, "O_NOFOLLOW", 0))
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | special))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is a FIFO or a device, no regular file", str(path))
    return file


def read_regular(path: Path, *, follow_links: bool = True, most: int = BYTES) -> bytes:
    """All bytes of a regular file that has at most so many.

    Raises:
        OSError: as `open_regular`, or the file is larger.
    """
    with open_regular(path, follow_links=follow_links) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most >> 20:,} MB", str(path))
    return data


def write_atomically(path: Path, data: bytes) -> None:
    """Write beside the target, flush to the disk, then rename: readers see the old file or the new one, never half.

    Raises:
        OSError: the folder is missing or can't be written; nothing has changed then.
    """
    try:
        handle, temporary = tempfile.mkstemp(prefix=f"{OURS}{path.name}-", suffix=PART, dir=path.parent)
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
