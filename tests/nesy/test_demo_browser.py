"""The demo in headless Chromium, where gradio, playwright and Chromium are: `pytest -m slow tests/nesy`.

Chromium is what GEDI_NESY_CHROMIUM names, else the one on the path, else playwright's own.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from base64 import b64decode
from importlib.util import find_spec
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageDraw

import gedi_nesy as gn
from gedi_nesy.nesy.demo import BRUSH, as_picture, read_pictures
from gedi_nesy.report.words import VERDICTS

pytestmark = pytest.mark.slow
PATIENCE = 180_000  # milliseconds; without a GPU a browser paints slowly
TOO_LARGE = 9_000_000  # bytes


@pytest.fixture(scope="module")
def run(trained):
    return gn.load_run(trained[0])


@pytest.fixture(scope="module")
def address(run):
    """Where `gedi-nesy demo` says that its page is; Ctrl-C ends it."""
    if not find_spec("gradio"):
        pytest.skip("gradio is not installed: pip install 'gedi-nesy[demo]'")
    command = [sys.executable, "-m", "gedi_nesy", "demo", str(run.folder.path)]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        yield re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline()).group()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE / 1000) == 0


@pytest.fixture(scope="module")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api")
    executable = os.environ.get("GEDI_NESY_CHROMIUM") or shutil.which("chromium")
    with playwright.sync_playwright() as browsers:
        try:
            browser = browsers.chromium.launch(
                executable_path=executable, args=["--use-gl=angle", "--use-angle=swiftshader"]
            )
        except playwright.Error as error:
            pytest.skip(f"Chromium does not start: {error.message.splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture
def page(address, chromium):
    page = chromium.new_page(viewport={"width": 1000, "height": 600})
    page.set_default_timeout(PATIENCE)
    page.goto(address, wait_until="domcontentloaded")
    yield page
    page.close()


def draw_line(page, number):
    """Draw a line from top to bottom with the mouse on one of the sketchpads."""
    page.get_by_label("Brush Size").nth(number).wait_for()  # the pen is chosen
    canvas = page.locator(".pixi-target canvas").nth(number)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y - 80)
    page.mouse.down()
    page.mouse.move(x, y + 80, steps=4)
    page.mouse.up()


def card_of(page, name):
    """What is read on the image of this name, when it is there."""
    card = page.get_by_role("region", name=name, exact=True)
    card.wait_for()
    return card


def probability(page):
    """The probability of the rule, as the page writes it, when it is there."""
    row = page.locator("tr", has=page.locator("th:text-is('addition(X,Y,Z)')"))
    row.wait_for()
    return row.locator("td").inner_text()


def pixels_of(card):
    """What a network gets of an image, uint8 [H, W], from the card's picture."""
    source = card.locator("img").get_attribute("src")
    return np.asarray(Image.open(BytesIO(b64decode(source.partition(",")[2]))))


def choose(page, name, file):
    block = page.locator(".block", has_text=f"{name} from a file").last
    block.locator("input[type=file]").set_input_files(file)


def test_a_line_on_each_pad_is_read_and_answers_the_rule(page, run):
    for number, name in enumerate("XYZ"):
        draw_line(page, number)
        symbol, second, verdict, energy = card_of(page, name).inner_text().splitlines()
        assert re.fullmatch(rf"{name}: \d \(\d+\.\d%\)", symbol)
        assert second.startswith("second-best: ")
        assert verdict.partition(": ")[0] in VERDICTS
        assert re.fullmatch(r"energy: -?\d+\.\d nats; more familiar than \d+% of the training images", energy)
    assert 0 <= float(probability(page)) <= 1
    by_hand = Image.new("RGBA", (280, 280))
    ImageDraw.Draw(by_hand).line([(140, 60), (140, 220)], "black", 2 * BRUSH)
    expected = read_pictures(run, run.constraint, {"Z": as_picture({"composite": by_hand}, dark=True)}).seen["Z"]
    assert pixels_of(card_of(page, "Z")).mean() == pytest.approx(expected.float().mean().item(), rel=0.3)  # as much ink


def test_a_file_is_read_instead_of_a_drawing(page, run, tmp_path):
    file = tmp_path / "seven.png"
    picture = Image.new("L", (28, 28))
    ImageDraw.Draw(picture).line([(6, 6), (20, 6), (12, 22)], 255, 3)
    picture.save(file)
    for name in "XYZ":
        choose(page, name, file)
        row = read_pictures(run, run.constraint, {name: file}).images[name]
        assert card_of(page, name).inner_text().startswith(f"{name}: {row['symbol']} ({row['probability']:.1%})")
    answer = read_pictures(run, run.constraint, dict.fromkeys("XYZ", file)).answers["addition(X,Y,Z)"]
    assert probability(page) == f"{answer:.4f}"


def test_a_file_that_cant_be_read_is_one_sentence(page, tmp_path):
    large, broken = tmp_path / "large.png", tmp_path / "broken.png"
    large.write_bytes(bytes(TOO_LARGE))
    broken.write_bytes(b"no image")
    choose(page, "X", large)
    page.get_by_text('exceed the maximum allowed size of 8.0 Mb: "large.png"').wait_for()
    choose(page, "Y", broken)
    sentence = "broken.png is not an image that can be read; give a PNG, JPEG, WebP, BMP, TIFF or GIF file."
    assert card_of(page, "Y").inner_text() == f"Y: {sentence}"
