import pytest
import torch

from gedi_nesy.data.scale import SCALES
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.constraint import Constraint
from gedi_nesy.nesy.examples import draw_examples

DIGITS = tuple("0123456789")


@pytest.fixture(autouse=True, scope="session")
def own_rule_cache(tmp_path_factory):
    """Compiled rules go to a folder of this session, so that no test depends on an earlier run."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gedi_nesy.nesy.cache.user_cache_path", lambda name: folder / name)
        yield folder / "gedi-nesy"


@pytest.fixture(scope="session")
def addition():
    return Constraint.from_file("addition")


@pytest.fixture
def loader(addition):
    """Forty examples whose images are flat, digit k of brightness k / 10."""
    labels = torch.arange(10).repeat_interleave(50)
    images = (labels * 25.5).round().to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 28, 28)
    examples = draw_examples(addition, images, labels, DIGITS, 40, torch.Generator().manual_seed(0))
    return Loader(examples, addition, SCALES["unit"], torch.device("cpu"))
