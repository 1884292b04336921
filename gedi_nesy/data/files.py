"""Read a data file and check that it is whole."""

import hashlib
from pathlib import Path

from gedi_nesy.errors import UserError
from gedi_nesy.files import open_regular


def corrupt(path: Path, why: str) -> UserError:
    """The error for a data file that is not what it should be."""
    return UserError(f"{path} is corrupt ({why}): delete it or put a good copy in its place, then run again")


def read_bytes(path: Path, md5: str | None = None) -> bytes:
    """All bytes of a file.

    Args:
        path: of the file.
        md5: what its MD5 must be, in hexadecimal.

    Raises:
        UserError: it can't be read, is no regular file, or has another MD5.
    """
    try:
        with open_regular(path) as file:
            data = file.read()
    except OSError as error:
        raise UserError(f"{path} can't be read ({error.strerror}): mend that or name another one") from error
    if md5 is not None and hashlib.md5(data, usedforsecurity=False).hexdigest() != md5:
        raise corrupt(path, f"its {len(data):,} bytes don't have the MD5 {md5}")
    return data
