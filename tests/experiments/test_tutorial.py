"""The tutorial runs from top to bottom, with small sizes."""

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "experiments" / "tutorial.ipynb"


def test_the_tutorial_runs_from_top_to_bottom(tmp_path, monkeypatch):
    pytest.importorskip("ipykernel")
    pytest.importorskip("pytorch_lightning")
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.setenv("GEDI_NESY_TUTORIAL", "small")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=None, startup_timeout=3600, resources=place).execute()
    shown = [str(output) for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("test accuracy with 40 labels" in text for text in shown)
    assert any("with Lightning" in text for text in shown)
    assert any("Constraint satisfaction" in text and "text/html" in text for text in shown)
