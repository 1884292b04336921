import pytest
import torch

from gedi_nesy.data.scale import SCALES
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.examples import draw_examples

DIGITS = tuple("0123456789")


@pytest.fixture
def loader(addition):
    """Forty examples whose images are flat, digit k of brightness k / 10."""
    labels = torch.arange(10).repeat_interleave(50)
    images = (labels * 25.5).round().to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 28, 28)
    examples = draw_examples(addition, images, labels, DIGITS, 40, torch.Generator().manual_seed(0))
    return Loader(examples, addition, SCALES["unit"], torch.device("cpu"))
