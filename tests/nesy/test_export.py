import pytest
import torch

from gedi_nesy.errors import UserError
from gedi_nesy.nesy.train import train


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_an_exported_network_answers_without_this_package(tmp_path):
    run = train(
        "gedi-nesy-quick",
        out=tmp_path / "run",
        examples=30,
        dataset="digits",
        notify=lambda text: None,
        progress=False,
        **{"train.steps": 2, "train.epochs": None, "student.steps": 2, "student.epochs": None, "sampler.steps": 1},
    )
    run.export(tmp_path / "digits.pt")
    images = run.images().x_test[:5]
    theirs = torch.jit.load(str(tmp_path / "digits.pt"))(images / 255)
    torch.testing.assert_close(theirs, run.log_probs(images), atol=1e-5, rtol=0)
    with pytest.raises(UserError, match=r"would hold TorchScript, not ONNX"):
        run.export(tmp_path / "digits.onnx")
    assert not (tmp_path / "digits.onnx").exists()
