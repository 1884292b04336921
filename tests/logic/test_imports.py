"""The constraint engine is usable alone."""

import subprocess
import sys


def test_the_engine_imports_no_training_and_no_front_end():
    code = "from gedi_nesy.logic import Constraint; import sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ApproximateEngine" not in run.stderr  # DeepProbLog warns of an engine that nothing here uses
    loaded = set(run.stdout.split())
    assert "gedi_nesy.logic.constraint" in loaded
    own = {name.split(".")[1] for name in loaded if name.startswith("gedi_nesy.")}
    assert own == {"errors", "files", "logic"}
    assert not loaded & {"torchvision", "click", "matplotlib", "sklearn", "networkx"}
