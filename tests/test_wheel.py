"""What a user installs: every file of the package, from the wheel as hatchling builds it."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def files(folder):
    """The files of a folder of the checkout by where the wheel has them; what Python writes beside them left out."""
    found = (path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in found}


def test_the_wheel_has_every_file_of_the_package_and_all_programs():
    wheel = pytest.importorskip("hatchling.builders.wheel")
    packed = {file.distribution_path for file in wheel.WheelBuilder(str(ROOT)).recurse_included_files()}
    assert packed == files("gedi_nesy") | {f"gedi_nesy/{name}" for name in files("programs")}
    assert {"gedi_nesy/py.typed", "gedi_nesy/report/report.css", "gedi_nesy/programs/addition.pl"} <= packed
