"""Inputs of networks, pictures or vectors, from image files, arrays and feature files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gedi_nesy.data.image_file import read_image, read_pixels
from gedi_nesy.data.npz import load_arrays
from gedi_nesy.errors import UserError

NAMES, FEATURES = "names", "features"  # the arrays of a feature file with names


def read_picture(path: Path, size: tuple[int, int] | None = None, channels: int | None = None) -> Tensor:
    """An image file, uint8 [channels, height, width].

    Args:
        path: of the file.
        size: (height, width) to which it is resized; by default it keeps its own.
        channels: 1 makes it grey, 3 makes it colour; by default it keeps its own.

    Raises:
        UserError: as `image_file.read_pixels`.
    """
    if channels and size:
        return read_image(path, size, channels)
    pixels = read_pixels(path)
    return read_image(path, size or (pixels.shape[1], pixels.shape[2]), channels or len(pixels))


def as_inputs(name: str, given: Any) -> Tensor:
    """Inputs as a user of Python or of NumPy has them: uint8 pictures [N, C, H, W], or float32 vectors [N, D].

    Args:
        name: of the query's variable, for messages.
        given: a tensor or array of bytes [N, H, W], [N, C, H, W] or [N, H, W, C] (C is 1 or 3), or of real numbers
            [N, D].

    Raises:
        UserError: it is none of these, or a vector has a value that is no finite number.
    """
    values = given.detach().cpu() if isinstance(given, Tensor) else _tensor(name, given)
    if values.dtype == torch.uint8 and values.dim() in (3, 4):
        pictures = values.unsqueeze(1) if values.dim() == 3 else values
        if pictures.shape[1] not in (1, 3) and pictures.shape[-1] in (1, 3):
            pictures = pictures.movedim(-1, 1)
        if pictures.shape[1] in (1, 3):
            return pictures.contiguous()
    if values.is_floating_point() and values.dim() == 2:
        return _finite(name, values.float())
    kind = f"{values.dtype} {list(values.shape)}".removeprefix("torch.")
    raise UserError(
        f"{name} is {kind}; give pictures as uint8 [N, H, W] or [N, C, H, W] with C 1 or 3, vectors as floats [N, D]."
    )


def read_vectors(path: Path, cells: Mapping[str, Sequence[str]]) -> dict[str, Tensor]:
    """The vectors of a feature file that belong to the cells of a table.

    Args:
        path: an .npz file with vectors [M, D] in `features` and the name of each in `names` [M], which the cells
            repeat; or with an array [N, D] for each of the table's columns, row by row, or for some of them.
        cells: of each column of inputs its N cells.

    Returns:
        The vectors, float32 [N, D], of each column for which the file has some.

    Raises:
        UserError: a cell has no vector, there are more or fewer rows, or an array does not hold vectors.
    """
    arrays = load_arrays(path)
    if NAMES in arrays and FEATURES in arrays:
        vectors = as_inputs(f"{path}: {FEATURES}", arrays[FEATURES])
        row_of = {str(name): row for row, name in enumerate(arrays[NAMES].tolist())}
        if len(row_of) != len(vectors) or vectors.dim() != 2:
            has = f"{len(row_of)} different names for features {list(vectors.shape)}"
            raise UserError(f"{path} has {has}; give [M, D], one for each name.")
        return {
            column: vectors[[_row(path, row_of, name, k) for k, name in enumerate(names)]]
            for column, names in cells.items()
        }
    known = {column: as_inputs(f"{path}: {column}", arrays[column]) for column in cells if column in arrays}
    if not known:
        wanted = f"arrays {NAMES} and {FEATURES}, or one for each of {', '.join(cells)}"
        raise UserError(f"{path} has {', '.join(arrays) or 'no arrays'}; a feature file has {wanted}.")
    for column, vectors in known.items():
        if vectors.dim() != 2 or len(vectors) != len(cells[column]):
            wanted = f"[{len(cells[column])}, D], a vector for each row of the table"
            raise UserError(f"{path}: {column} is {list(vectors.shape)}; give {wanted}.")
    return known


def named_vectors(path: Path, names: Sequence[str]) -> Tensor | None:
    """The vectors of these names in a feature file, float32 [names, D]; None where it has no names.

    Raises:
        UserError: as `read_vectors`.
    """
    return read_vectors(path, {NAMES: names})[NAMES] if NAMES in load_arrays(path) else None


def _row(path: Path, row_of: Mapping[str, int], name: str, example: int) -> int:
    if name not in row_of:
        raise UserError(f"{path} has no vector named {name}, which row {example + 1} of the table wants; add it.")
    return row_of[name]


def _tensor(name: str, given: Any) -> Tensor:
    if isinstance(given, list | tuple) and given:
        first = np.shape(given[0])
        for k, row in enumerate(given):
            if np.shape(row) != first:
                raise UserError(
                    f"{name} is {list(first)} in row 1 and {list(np.shape(row))} in row {k + 1}; give all one shape."
                )
    try:
        return torch.from_numpy(np.array(given))
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} is no array of numbers ({error}).") from error


def _finite(name: str, vectors: Tensor) -> Tensor:
    wrong = ~vectors.isfinite().all(1)
    if wrong.any():
        raise UserError(f"{name} has a value that is no finite number in row {int(wrong.nonzero()[0]) + 1}; mend it.")
    return vectors
