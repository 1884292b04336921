"""What the demo says of drawings, without a browser."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import gedi_nesy as gn
from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.demo import Reading, as_picture, build_page, read_pictures, reading_html
from gedi_nesy.nesy.files import predict_files
from gedi_nesy.nesy.queries import Queries, parts_of
from gedi_nesy.nesy.run import Run


@pytest.fixture(scope="module")
def run(trained):
    return gn.load_run(trained[0])


def sketch(stroke, ground=None):
    """A sketchpad's value with a black line, or with nothing."""
    sheet = Image.new("RGBA", (280, 280))
    if stroke:
        ImageDraw.Draw(sheet).line([(140, 40), (140, 240)], (0, 0, 0, 255), 22)
    if ground:
        sheet = Image.alpha_composite(Image.new("RGBA", sheet.size, ground), sheet)
    return {"background": None, "layers": [sheet], "composite": sheet}


@pytest.mark.parametrize("ground", [None, "white"])
def test_strokes_are_on_the_ground_of_the_training_images(ground):
    light, dark = as_picture(sketch(True, ground), dark=True), as_picture(sketch(True, ground), dark=False)
    assert (light.getpixel((140, 140)), light.getpixel((10, 10))) == (255, 0)
    assert (dark.getpixel((140, 140)), dark.getpixel((10, 10))) == (0, 255)
    assert as_picture(sketch(False, ground), dark=True) is None
    assert as_picture(None, dark=True) is None


def test_a_file_is_read_as_predict_reads_it(run, tmp_path):
    file, broken = tmp_path / "grey.png", tmp_path / "broken.png"
    Image.new("L", (50, 50), 120).save(file)
    broken.write_bytes(b"no image")
    reading = read_pictures(run, run.constraint, {"X": file, "Y": broken, "Z": None})
    assert reading.images["X"] == predict_files(run, [file])[0]
    assert (reading.seen["X"] == 120).all()
    assert reading.images["Y"]["error"].startswith("broken.png is not an image that can be read")
    assert (list(reading.seen), reading.answers) == (["X"], {})


def test_the_rule_is_answered_when_every_image_is_there(run):
    picture = as_picture(sketch(True), dark=True)
    some = read_pictures(run, run.constraint, {"X": picture, "Y": None, "Z": None})
    assert (list(some.images), some.answers) == (["X"], {})
    all_there = read_pictures(run, run.constraint, {"X": picture, "Y": picture, "Z": picture})
    pixels = torch.from_numpy(np.array(picture.resize((28, 28), Image.Resampling.BILINEAR)))
    log_p = run.log_probs(pixels)
    expected = run.constraint.log_prob(dict.fromkeys("XYZ", log_p)).exp().item()
    assert all_there.answers == pytest.approx({"addition(X,Y,Z)": expected}, rel=1e-4)
    assert all_there.images["X"]["symbol"] == str(run.predict(pixels)[0])


@pytest.mark.parametrize(("program", "argument"), [("addition_sum", "S"), ("addition_digits", "S:3")])
def test_the_most_probable_values_of_an_argument_are_listed(run, program, argument, tmp_path):
    rule = Constraint.from_file(program, arguments=(argument,))
    adds = Run(run.folder, run.recipe, rule, run.networks, run.device, run.readings)
    images = {str(variable.inputs[0]): tmp_path / f"{number}.png" for number, variable in enumerate(rule.variables)}
    for number, path in enumerate(images.values()):
        Image.new("L", (28, 28), 60 * number).save(path)
    answers = read_pictures(adds, rule, images).answers
    log_probs = {v.key: run.log_probs(str(path)) for v, path in zip(rule.variables, images.values(), strict=True)}
    best, log_p = rule.most_probable_answer(log_probs)
    assert len(answers) == 5
    assert next(iter(answers.items())) == (f"S = {best[0][0]}", pytest.approx(log_p.exp().item(), rel=1e-4))
    assert list(answers.values()) == sorted(answers.values(), reverse=True)


@pytest.fixture
def sums(run):
    """A run of two queries."""
    rule = Queries([Constraint.from_file("addition"), Constraint.from_file("addition_sum", arguments=("S",))])
    return Run(run.folder, run.recipe, rule, run.networks, run.device, run.readings)


def test_each_query_of_a_rule_is_answered(sums):
    picture = as_picture(sketch(True), dark=True)
    first, second = (read_pictures(sums, rule, dict.fromkeys("XYZ", picture)).answers for rule in parts_of(sums.rule))
    assert list(first) == ["addition(X,Y,Z)"]
    assert (len(second), next(iter(second))[:4]) == (5, "S = ")


def test_a_rule_of_several_queries_has_a_tab_for_each(sums):
    pytest.importorskip("gradio")
    page = build_page(sums)
    blocks = [(type(block).__name__, block.label) for block in page.blocks.values() if hasattr(block, "label")]
    assert [label for kind, label in blocks if kind == "Tab"] == ["addition(X,Y,Z)", "addition(X,Y,S)"]
    assert [label for kind, label in blocks if kind == "Sketchpad"] == ["X", "Y", "Z", "X", "Y"]


def test_what_is_shown_is_escaped_and_in_words():
    row = {"symbol": "<7>", "probability": 0.9, "second": None, "energy": 1.25, "percentile": 3.0, "verdict": "unusual"}
    html = reading_html(
        Reading({"X": row, "Y": {"error": "no image"}}, {"X": torch.zeros(1, 2, 2, dtype=torch.uint8)}, {"q(X,Y)": 0.5})
    )
    assert "&lt;7&gt; (90.0%)" in html
    assert "unusual: unlike most training images" in html
    assert "no image" in html
    assert "0.5000" in html


def test_a_missing_gradio_is_one_sentence(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(UserError, match=r"The demo needs .* pip install 'gedi-nesy\[demo\]'"):
        build_page(run)


def test_the_page_has_a_pad_for_each_image(run):
    pytest.importorskip("gradio")
    page = build_page(run)
    labels = [(type(block).__name__, block.label) for block in page.blocks.values() if hasattr(block, "label")]
    assert [label for kind, label in labels if kind == "Sketchpad"] == ["X", "Y", "Z"]
    assert len([label for kind, label in labels if kind == "File"]) == 3
