from types import SimpleNamespace

import pytest

from gedi_nesy.logic import time_limit


@pytest.fixture(autouse=True)
def time_stands_still(monkeypatch):
    """A search ends when it is done, however busy the machine is; a test of its budget brings a clock of its own."""
    for search in ("alignment", "concept_maps"):
        monkeypatch.setattr(f"gedi_nesy.logic.{search}.time", SimpleNamespace(process_time=lambda: 0.0))


@pytest.fixture
def no_grace(monkeypatch):
    """A child is stopped by its own seconds of CPU time alone, without a grace and however busy the machine is."""
    monkeypatch.setattr(time_limit, "GRACE", 0.0)
    monkeypatch.setattr(time_limit, "PATIENCE", 1e6)
