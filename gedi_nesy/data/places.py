"""Where datasets are looked for: the folder given, then $GEDI_NESY_DATA, then the user's cache folder."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

from gedi_nesy.data.download import download
from gedi_nesy.data.images import DataUnavailable, Images
from gedi_nesy.data.npz import read_npz
from gedi_nesy.errors import UserError


def cache_folder() -> Path:
    """The user's cache folder for this program; downloads go there. It need not exist."""
    return platformdirs.user_cache_path("gedi-nesy", appauthor=False)


def places(data_dir: Path | None) -> Iterator[Path]:
    """The folders to look in, in order.

    Raises:
        UserError: a folder that the user named is not there.
    """
    for origin, given in (("--data-dir", data_dir), ("GEDI_NESY_DATA", os.environ.get("GEDI_NESY_DATA"))):
        if given:
            folder = Path(given).expanduser()
            if not folder.is_dir():
                raise UserError(f"{origin} names {folder}, which is not a folder; name one that holds the datasets")
            yield folder
    yield cache_folder()


def find(
    name: str,
    data_dir: Path | None,
    read: Callable[[Path], Images | None],
    layout: str,
    fetch: Callable[[str], object] | None = None,
) -> Images:
    """Read a dataset from the first place that has it, as NAME.npz or in its own layout; else download it.

    Args:
        name: of the dataset.
        data_dir: folder to look in first.
        read: reads the dataset from a place, or returns None where nothing of it is there.
        layout: what `read` looks for, said to the user.
        fetch: downloads the dataset into the folder given to it, in that layout; None where nothing can.

    Raises:
        DataUnavailable: it is in no place and could not be downloaded.
        UserError: a file of it is corrupt or missing.
    """
    looked_in = []
    for place in places(data_dir):
        images = read_npz(place / f"{name}.npz", name) if (place / f"{name}.npz").is_file() else read(place)
        if images is not None:
            return images
        looked_in.append(str(place))
    why = "it can't be downloaded" if fetch is None else download(fetch, cache_folder())
    images = None if why else read(cache_folder())
    if images is None:
        raise DataUnavailable(
            f"{name} is not in {' or '.join(dict.fromkeys(looked_in))}, and {why}: name a folder that has {layout} or "
            f"{name}.npz with --data-dir or GEDI_NESY_DATA, or take --dataset digits, which needs no files"
        )
    return images
