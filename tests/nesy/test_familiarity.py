"""What predict says about images that are not like the training images."""

from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch import nn

from gedi_nesy.errors import UserError
from gedi_nesy.nesy.familiarity import familiarity_quantiles, percentiles, verdict
from gedi_nesy.nesy.files import predict_files
from gedi_nesy.nesy.recipe import load_recipe
from gedi_nesy.nesy.run import Run
from gedi_nesy.networks.mnist_net import MNIST_Net
from gedi_nesy.runs.folder import RunFolder


class Bright:
    """Stands for a run whose familiarity is an image's mean intensity, 0 to 100."""

    def __init__(self, summary):
        self.summary, self.networks = summary, {"digits": None}
        self.scale = SimpleNamespace(to_unit=lambda x: x)

    def familiarity(self, images, network=None):
        return 100 * images.float().flatten(1).mean(1)


def test_a_percentile_is_the_share_of_training_images_that_are_less_familiar(loader):
    """Digit k of the forty examples has brightness k / 10, so the familiarity runs from 0 to 90."""
    quantiles = familiarity_quantiles(Bright({}), loader)
    assert len(quantiles["digits"]) == 101
    run = Bright({"familiarity": {"digits": [0.9 * k for k in range(101)]}})
    images = torch.tensor([0.0, 0.45, 1.0]).view(3, 1, 1, 1).expand(3, 1, 28, 28)
    assert percentiles(run, images) == pytest.approx([0, 50, 100], abs=1e-4)
    assert percentiles(Bright({}), images) is None  # a run of before


@pytest.mark.parametrize("damaged", [[], {"digits": [1.0]}, {"digits": [float("nan")] * 101}, {"digits": "x" * 101}])
def test_percentiles_that_are_none_are_refused(damaged):
    class Folder:
        def __truediv__(self, name):
            return name

    run = Bright({"familiarity": damaged})
    run.folder = Folder()
    with pytest.raises(UserError, match=r"summary.json is damaged: familiarity.digits must be 101 rising numbers"):
        percentiles(run, torch.zeros(1, 1, 28, 28))


@pytest.mark.parametrize(
    ("percentile", "inverted", "word"),
    [(80, 0, "familiar"), (80, 90, "familiar"), (3, 0, "unusual"), (0.2, 0, "foreign"), (0.2, 60, "inverted")],
)
def test_the_verdict_by_hand(percentile, inverted, word):
    assert verdict(percentile, inverted) == word


@pytest.fixture
def run(addition, tmp_path):
    """An untrained network, and familiarities of training images that are those of nobody."""
    torch.manual_seed(0)
    networks = nn.ModuleDict({"digits": MNIST_Net()})
    run = Run(
        RunFolder(tmp_path), load_recipe("gedi-nesy", {"dataset": "mnist"}), addition, networks, torch.device("cpu")
    )
    run.folder.write_json("summary.json", {"seconds": 1, "familiarity": {"digits": [k - 70.0 for k in range(101)]}})
    return run


def test_an_answer_does_not_depend_on_the_files_beside_it(run, tmp_path):
    for k in range(3):
        Image.new("L", (28, 28), 80 * k).save(tmp_path / f"{k}.png")
    paths = [tmp_path / f"{k}.png" for k in range(3)]
    (alone,), together = predict_files(run, paths[2:]), predict_files(run, [*paths, tmp_path / "gone.png"])
    assert 0 < alone["percentile"] < 100
    assert together[2] == pytest.approx(alone, abs=1e-5)
    assert alone["second"] != alone["symbol"]
    assert alone["second_probability"] <= alone["probability"]
    assert "There is no image file" in together[3]["error"]


def test_a_blank_image_is_called_so_whatever_its_percentile(run, tmp_path):
    faint = torch.full((28, 28), 240, dtype=torch.uint8)
    faint[10:20, 10:20] = 250  # as paper in a photograph
    seen = torch.zeros(28, 28, dtype=torch.uint8)
    seen[5, 5] = 255
    for name, image in {"black": faint * 0, "white": faint * 0 + 255, "faint": faint, "seen": seen}.items():
        Image.fromarray(image.numpy()).save(tmp_path / f"{name}.png")
    paths = [tmp_path / f"{name}.png" for name in ("black", "white", "faint", "seen")]
    *blank, last = predict_files(run, paths)
    assert [row["verdict"] for row in blank] == ["blank"] * 3
    assert not any("if_inverted" in row for row in blank)
    assert last["verdict"] != "blank"
    with pytest.warns(UserWarning, match="3 of 4 images are blank: nothing to read on 0, 1, 2"):
        assert len(run.predict(paths)) == 4


def test_a_drawing_with_wide_margins_is_to_be_cropped(run, tmp_path):
    run.folder.write_json("summary.json", {"seconds": 1, "familiarity": {"digits": [k + 1e6 for k in range(101)]}})
    image = torch.full((280, 280), 255, dtype=torch.uint8)
    image[100:170, 120:150] = 0  # a quarter of the height
    Image.fromarray(image.numpy()).save(tmp_path / "small.png")
    Image.fromarray(image[90:180, 90:180].numpy()).save(tmp_path / "cropped.png")
    small, cropped = predict_files(run, [tmp_path / "small.png", tmp_path / "cropped.png"])
    assert small["fills"] == pytest.approx(0.25, abs=1 / 28)
    assert small["verdict"] == cropped["verdict"] == "foreign"
    assert "fills" not in cropped


def test_images_may_come_in_any_form(run, tmp_path):
    x = torch.randint(256, (3, 28, 28), dtype=torch.uint8)
    Image.fromarray(x[0].numpy()).save(tmp_path / "x.png")
    forms = [x, x[:, None], x.numpy(), x.tolist(), list(x.numpy()), x.numpy() / 255]
    for form in forms:
        torch.testing.assert_close(run.log_probs(form), run.log_probs(x))
    for single in (tmp_path / "x.png", [str(tmp_path / "x.png")], x[0], x[0].numpy(), x[:1].tolist()):
        assert run.predict(single) == run.predict(x)[:1]


def test_a_run_is_one_line(run):
    assert repr(run) == (f"Run({run.folder.path}: gedi-nesy on mnist, 1,000 examples of addition(X,Y,Z), seed 0)")
