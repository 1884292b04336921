"""Read a data file and check that it is whole; a small one may unzip to more than the memory holds."""

import hashlib
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gedi_nesy.errors import UserError
from gedi_nesy.files import open_regular, read_regular

MOST = 2**30  # bytes of a file, or of what it unzips to
RATIO = 20  # an archive may unzip to more than MOST bytes, up to so many times its own size
# what damaged bytes make zipfile, its decompressors and NumPy raise
DAMAGE = (EOFError, LookupError, MemoryError, RuntimeError, ValueError, lzma.LZMAError, struct.error, zlib.error)


def corrupt(path: Path, why: str) -> UserError:
    """The error for a data file that is not what it should be."""
    return UserError(f"{path} is corrupt ({why}): delete it or put a good copy in its place, then run again")


def read_bytes(path: Path, md5: str | None = None) -> bytes:
    """All bytes of a file.

    Args:
        path: of the file.
        md5: the MD5 that it must have, in hexadecimal.

    Raises:
        UserError: it can't be read, is no regular file, has more than MOST bytes, or has another MD5.
    """
    try:
        data = read_regular(path, most=MOST)
    except OSError as error:
        raise _unreadable(path, error) from error
    if md5 is not None and hashlib.md5(data, usedforsecurity=False).hexdigest() != md5:
        raise corrupt(path, f"its {len(data):,} bytes don't have the MD5 {md5}")
    return data


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip archive, open for reading once it is known that its members fit the memory.

    Errors of its members while they are read become the same UserError.

    Raises:
        UserError: it can't be read, is no regular file, is corrupt, or unzips to too much.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            most = max(MOST, RATIO * os.fstat(file.fileno()).st_size)
            if sum(member.file_size for member in archive.infolist()) > most:
                raise corrupt(path, f"unzipped it has more than {most / 2**30:.0f} GB")
            yield archive
    except zipfile.BadZipFile as error:
        raise corrupt(path, str(error)) from error
    except OSError as error:
        raise (_unreadable(path, error) if error.strerror else corrupt(path, str(error))) from error
    except UserError:
        raise
    except DAMAGE as error:
        raise corrupt(path, str(error) or type(error).__name__) from error


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path} can't be read ({error.strerror}): mend that or name another one")
