import sys

import pytest

from gedi_nesy.errors import UserError
from gedi_nesy.extras import load_extra
from gedi_nesy.vision.fidelity import torch_fidelity


def test_a_missing_package_is_one_sentence_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.delitem(sys.modules, "torch_fidelity.metric_fid", raising=False)
    with pytest.raises(UserError, match=r"needs the package torch-fidelity: pip install 'gedi-nesy\[fidelity\]'\.$"):
        torch_fidelity("metric_fid")


def test_a_package_that_is_there_but_broken_says_what_it_lacks(tmp_path, monkeypatch):
    (tmp_path / "half_there.py").write_text("import what_it_needs")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="what_it_needs"):
        load_extra("half_there", "half", "This")
