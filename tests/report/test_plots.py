"""The plots: what is drawn where, read back from the figure or from the pixels."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from gedi_nesy.core.metrics import calibrate
from gedi_nesy.files import write_atomically
from gedi_nesy.report.confusion import confusion_png
from gedi_nesy.report.energies import energies_png
from gedi_nesy.report.examples import Card, Shown, examples_png
from gedi_nesy.report.losses import losses_png, running_mean, split_stages
from gedi_nesy.report.neighbours import neighbours_png
from gedi_nesy.report.reliability import reliability_png
from gedi_nesy.report.samples import samples_png


@pytest.fixture
def figure(monkeypatch):
    """Where the figure that was last drawn is kept instead of being written."""
    kept = {}
    for module in ("losses", "confusion", "energies", "examples", "neighbours", "reliability"):
        monkeypatch.setattr(f"gedi_nesy.report.{module}.save", lambda figure, path: kept.update(last=figure))
    return kept


def row(step, stage=None, weight=None, **loss):
    parts = {"stage": stage, "weight": weight}
    return {"step": step, "loss": loss} | {key: value for key, value in parts.items() if value is not None}


def test_each_term_has_its_panel_with_its_values_and_its_optimum(figure, tmp_path):
    history = [
        row(10, weight={"prior": 400.0, "nesy": 25.0}, prior=3.0, nesy=2.0),
        row(20, weight={"prior": 40.0, "nesy": 25.0}, prior=2.5, nesy=1.0),
    ]
    losses_png(tmp_path / "x.png", history, {"prior": math.log(10)})
    prior, nesy = figure["last"].axes
    curve, optimum = prior.lines
    assert curve.get_xdata().tolist() == [10, 20]
    assert curve.get_ydata().tolist() == [3.0, 2.5]
    assert optimum.get_ydata() == [math.log(10)] * 2
    assert prior.texts[0].get_text() == "weight 400 → 40   end 2.500   optimum 2.303 (dashed)"
    assert len(nesy.lines) == 1  # no known optimum, no dashed line
    assert nesy.texts[0].get_text() == "weight 25   end 1.000"
    assert nesy.get_ylabel() == "nats"


def test_a_stage_follows_the_one_before(figure, tmp_path):
    history = [row(5, "search", gen=1.0), row(10, "search", gen=2.0), row(5, "student", gen=3.0, distil=4.0)]
    stages = split_stages(history)
    assert {stage: [step for step, _ in curve] for stage, curve in stages.items()} == {
        "search": [5, 10],
        "student": [15],
    }
    losses_png(tmp_path / "x.png", history, {})
    _, distil = figure["last"].axes
    assert distil.lines[1].get_xdata().tolist() == [15]  # lines[0] marks the first stage
    assert [text.get_text().strip() for text in distil.texts] == ["search", "student", "end 4.000"]


def test_a_loss_that_is_no_number_is_told(figure, tmp_path):
    losses_png(tmp_path / "x.png", [row(1, gen=1.0), row(2, gen=math.nan), row(3, gen=math.inf)], {})
    assert figure["last"].axes[0].texts[0].get_text() == "nan at step 2"


def test_a_loss_that_is_in_no_nats_does_not_say_so(figure, tmp_path):
    losses_png(tmp_path / "x.png", [row(1, barlow=1.0, energy_l2=1.0)], {})
    assert [axes.get_ylabel() for axes in figure["last"].axes] == ["", "nats²"]


def test_three_panels_leave_the_fourth_place_empty(figure, tmp_path):
    losses_png(tmp_path / "x.png", [row(1, gen=1.0, inv=1.0, prior=1.0)], {})
    assert [axes.axison for axes in figure["last"].axes] == [True, True, True, False]


@pytest.mark.parametrize("weights", [(400.0, 40.0), (0.00594, 0.000745)])
def test_the_facts_of_a_panel_stay_within_it(weights, figure, tmp_path):
    rows = [row(i, weight={"energy_l2": weights[i], "gen": 1.0}, energy_l2=-123456.789, gen=1.0) for i in (0, 1)]
    losses_png(tmp_path / "x.png", rows, {"energy_l2": 0.0})
    figure["last"].draw_without_rendering()
    panel = figure["last"].axes[0]
    assert panel.texts[0].get_window_extent().x1 < figure["last"].bbox.width / 2
    assert panel.texts[0].get_text().split() == [
        "weight", f"{weights[0]:.3g}", "→", f"{weights[1]:.3g}", "end", "-123456.789", "optimum", "0.000", "(dashed)",
    ]  # fmt: skip


def test_no_losses_are_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"no losses to draw in .*x.png: none of the 0 rows"):
        losses_png(tmp_path / "x.png", [], {})


def test_running_mean_by_hand():
    assert running_mean(np.array([3.0, 0.0, 6.0, 9.0]), 3).tolist() == [(3 + 0) / 2, 9 / 3, 15 / 3, (6 + 9) / 2]
    assert running_mean(np.array([3.0, 0.0]), 1).tolist() == [3.0, 0.0]


def test_equal_losses_give_equal_bytes_and_a_png(tmp_path):
    for name in ("a.png", "b.png"):
        losses_png(tmp_path / name, [row(i, gen=math.sin(i)) for i in range(200)], {"gen": 0.0})
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"


def greys(values):
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 1, 32, 32) / 255


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_samples_without_labels_fill_the_rows_in_their_order(tmp_path):
    samples_png(tmp_path / "x.png", greys([10.0 * i for i in range(18)]))
    sheet = pixels(tmp_path / "x.png")  # each image is 32 * 2 pixels and a gap of 4, the left margin 4
    assert sheet.shape == (2 * 68 + 4, 4 + 16 * 68 + 4, 3)
    assert sheet[36, 8 + 32, 0] == 0
    assert sheet[36, 8 + 68 * 3 + 32, 0] == 30
    assert sheet[36 + 68, 8 + 68 + 32, 0] == 170
    assert sheet[36 + 68, 8 + 2 * 68 + 32, 0] == 255  # nothing there


def test_samples_with_labels_have_a_row_each_the_most_confident_first(tmp_path):
    samples_png(
        tmp_path / "x.png",
        greys([10.0, 20, 30]),
        torch.tensor([2, 0, 2]),
        torch.tensor([0.5, 0.9, 0.8]),
        ("a", "b", "c"),
    )
    sheet = pixels(tmp_path / "x.png")
    assert len(sheet) == 3 * 68 + 4
    first, second = sheet[:, -68 - 36, 0], sheet[:, -36, 0]  # through the middle of both columns
    assert [first[36], first[36 + 68], first[36 + 136]] == [20, 255, 30]
    assert [second[36], second[36 + 68], second[36 + 136]] == [255, 255, 10]


def test_colour_samples_keep_their_channels(tmp_path):
    samples_png(tmp_path / "x.png", torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1).expand(1, 3, 32, 32))
    assert pixels(tmp_path / "x.png")[36, 40].tolist() == [255, 127, 0]


def test_no_samples_are_an_error(tmp_path):
    with pytest.raises(ValueError, match="no samples to draw"):
        samples_png(tmp_path / "x.png", torch.zeros(0, 1, 28, 28))


def test_confusion_by_hand(figure, tmp_path):
    confusion_png(tmp_path / "x.png", torch.tensor([[2, 1], [0, 1]]), ("no", "yes"))
    axes = figure["last"].axes[0]
    assert axes.get_title(loc="left") == "3 of 4 right (75.00%)"
    cells = {text.get_position(): text.get_text() for text in axes.texts}  # (column, row)
    assert cells == {(0, 0): "2", (1, 0): "1", (1, 1): "1"}
    np.testing.assert_allclose(axes.images[0].get_array(), [[2 / 3, 1 / 3], [0, 1]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["no", "yes"]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true class", "predicted class")


def test_confusion_of_many_classes_and_of_a_wrong_shape(figure, tmp_path):
    confusion_png(tmp_path / "x.png", torch.eye(30), [str(k) for k in range(30)])
    assert not figure["last"].axes[0].texts
    with pytest.raises(ValueError, match=r"of 3 classes is not \[2, 2\]: give"):
        confusion_png(tmp_path / "x.png", torch.eye(2), "abc")


def test_examples_stand_below_their_headings_with_what_was_read(figure, tmp_path):
    grey, colour = torch.zeros(1, 28, 28), torch.ones(3, 16, 20)
    broken = Card("breaks the rule, P = 0.01", "line 3", True, [Shown(grey, "7, not 9", True), Shown(colour, "+")])
    examples_png(tmp_path / "x.png", {"the least likely": [broken], "others": [broken] * 4})
    axes = figure["last"].axes[0]
    texts = [text.get_text() for text in axes.texts]
    assert texts[:5] == ["the least likely", "breaks the rule, P = 0.01", "line 3", "7, not 9", "+"]
    assert texts.count("7, not 9") == 5
    assert len(axes.images) == 10
    colours = {text.get_text(): text.get_color() for text in axes.texts}
    assert colours["7, not 9"] == colours["breaks the rule, P = 0.01"] != colours["+"]
    left, right, bottom, top = axes.images[0].get_extent()
    assert (right - left, bottom - top) == (56, 56)  # 28 pixels twice as large


def test_samples_stand_above_their_nearest_images_the_nearest_pair_first(figure, tmp_path):
    samples, images = greys([10.0, 20, 30]), greys([11.0, 22, 33])
    neighbours_png(tmp_path / "x.png", samples, images, torch.tensor([3.0, 1.0, 2.0]))
    drawn = figure["last"].axes[0].images
    assert [round(float(image.get_array()[0, 0, 0]) * 255) for image in drawn] == [20, 22, 30, 33, 10, 11]
    assert [text.get_text() for text in figure["last"].axes[0].texts] == ["sample", "nearest", "1.0", "2.0", "3.0"]


def test_energies_of_each_kind_are_shares_with_their_median(figure, tmp_path):
    kinds = {"training images": torch.tensor([0.0, 1.0, 2.0, 3.0]), "noise": torch.tensor([8.0, 9.0, 10.0])}
    energies_png(tmp_path / "x.png", kinds)
    axes = figure["last"].axes[0]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["training images, median 1.5", "noise, median 9.0"]
    assert "nats" in axes.get_xlabel()
    with pytest.raises(ValueError, match="no finite energies of noise"):
        energies_png(tmp_path / "x.png", {"noise": torch.tensor([math.nan])})


def test_reliability_by_hand(figure, tmp_path):
    p = torch.tensor([[0.9, 0.1], [0.9, 0.1]])
    reliability_png(tmp_path / "x.png", calibrate(p.log(), torch.tensor([0, 1])))
    above, below = figure["last"].axes
    assert above.get_title(loc="left") == "ECE 0.4000"
    (point,) = [line for line in above.lines if line.get_marker() == "o"]
    assert point.get_xydata().tolist() == [[pytest.approx(0.9), 0.5]]
    assert below.patches[0].get_data().values.tolist() == [0] * 13 + [2, 0]


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no examples to draw"):
        examples_png(tmp_path / "x.png", {"others": []})
    with pytest.raises(ValueError, match="no samples to draw"):
        neighbours_png(tmp_path / "x.png", *[torch.zeros(0, 1, 28, 28)] * 2, torch.zeros(0))


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "x"
    write_atomically(path, b"old")

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["x"]
