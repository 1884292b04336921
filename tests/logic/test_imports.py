"""The constraint engine is usable alone."""

import subprocess
import sys


def test_the_engine_imports_no_training_and_no_front_end():
    code = "from gedi_nesy.logic import Constraint; import sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "gedi_nesy.logic.constraint" in loaded
    own = {name.split(".")[1] for name in loaded if name.startswith("gedi_nesy.")}
    assert own == {"errors", "files", "logic"}
    assert not loaded & {"torchvision", "click", "matplotlib", "sklearn", "networkx"}


def test_an_engine_that_nothing_here_uses_is_not_missed():
    """DeepProbLog warns on import that PySwip is not there, whichever module of ours is the first to load it."""
    for module in ("gedi_nesy.logic", "gedi_nesy.nesy.run"):
        run = subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, text=True, check=True)
        assert "ApproximateEngine" not in run.stderr
