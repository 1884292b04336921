"""Features of a rule's images by the encoder of a vision run, as a file that `--features` takes."""

import hashlib
from pathlib import Path

import torch

from gedi_nesy.data import load_images
from gedi_nesy.data.inputs import FEATURES, NAMES, read_picture
from gedi_nesy.errors import UserError
from gedi_nesy.nesy.table import read_lines
from gedi_nesy.vision.run import Run, load_run


def write_features(folder: Path, data: str | None, dataset: str | None, data_dir: Path | None) -> Path:
    """The features of a table's image files, or of a data set's training images, in the vision run's folder.

    Args:
        folder: of a finished vision run on images; they are resized to what it was trained on.
        data: a CSV table; its cells that are image files are read.
        dataset: where there is no table, a data set; by default MNIST.
        data_dir: where data sets lie.

    Returns:
        The path of the file.

    Raises:
        UserError: the run is none on images, or the images can't be read.
    """
    run = load_run(folder)
    if not run.reads_images:
        raise UserError(f"{folder} is a run on points; --features-from takes a vision run on images.")
    of = str(Path(data).resolve()) if data else dataset or "mnist"
    arrays = _of_table(run, Path(data)) if data else _of_dataset(run, of, data_dir)
    name = f"features-{Path(of).stem}-{hashlib.sha256(of.encode()).hexdigest()[:8]}.npz"
    run.folder.write_arrays(name, arrays)
    return (run.folder / name).resolve()


def _of_table(run: Run, table: Path) -> dict[str, object]:
    if table.suffix == ".npz":
        raise UserError(f"{table} holds arrays; --features-from goes with a CSV table of images, or with --dataset.")
    channels, height, width = run.scale.shape
    cells = dict.fromkeys(cell for line in read_lines(table, []).values() for cell in line.values())
    names = [cell for cell in cells if (table.parent / cell).is_file()]
    if not names:
        raise UserError(f"{table} names no image file, so there is nothing to take features of.")
    pictures = torch.stack([read_picture(table.parent / name, (height, width), channels) for name in names])
    return {NAMES: names, FEATURES: run.features(pictures).cpu()}


def _of_dataset(run: Run, name: str, data_dir: Path | None) -> dict[str, object]:
    channels, height, width = run.scale.shape
    images = load_images(name, data_dir).at((height, width), channels)
    return {"x_train": run.features(images.x_train).cpu()}
