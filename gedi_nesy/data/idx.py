"""IDX, the file format of MNIST: a big-endian header with the sizes, then the bytes; often gzipped."""

import gzip
import io
import math
import struct
import zlib
from pathlib import Path

import torch
from torch import Tensor

from gedi_nesy.data.files import MOST, corrupt, read_bytes


def read_idx(path: Path, md5: str | None = None) -> Tensor:
    """The uint8 tensor in an IDX file, unzipped when its name ends in .gz.

    Args:
        path: of the file.
        md5: what the MD5 of the file, as it lies there, must be.

    Raises:
        UserError: the file can't be read or is corrupt.
    """
    data = read_bytes(path, md5)
    if path.suffix == ".gz":
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
                data = file.read(MOST + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise corrupt(path, str(error)) from error
        if len(data) > MOST:
            raise corrupt(path, f"unzipped it has more than {MOST >> 30} GB")
    if len(data) < 4 or data[:3] != b"\x00\x00\x08" or len(data) < 4 + 4 * data[3]:
        raise corrupt(path, "it is no IDX file of bytes")
    sizes = struct.unpack(f">{data[3]}I", data[4 : 4 + 4 * data[3]])
    body = bytearray(data[4 + 4 * data[3] :])
    if len(body) != math.prod(sizes):
        raise corrupt(path, f"{len(body):,} bytes of data where its header promises {math.prod(sizes):,}")
    return torch.frombuffer(body, dtype=torch.uint8).view(sizes)
