"""A page on which one draws an image for each variable of a rule and sees what a trained run reads."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from gedi_nesy.errors import UserError
from gedi_nesy.extras import load_extra
from gedi_nesy.html_table import html_table
from gedi_nesy.logic.ground import Key
from gedi_nesy.nesy.files import predict_files
from gedi_nesy.nesy.run import Run
from gedi_nesy.report.words import VERDICTS

CANVAS = 280  # pixels, ten for each that a network reads
STROKE = 22  # pixels; MNIST's are two of 28 wide
LARGEST_FILE = "8mb"
TAKE_PENS = """() => {
  const take = () => {
    const pens = document.querySelectorAll('button[aria-label="Brush"]');
    if (pens.length) pens.forEach(pen => pen.click()); else setTimeout(take, 100);
  };
  take();
}"""  # a sketchpad that takes uploads waits for its pen to be chosen
ANSWERS = 5  # shown, where the rule has arguments
MOST_ANSWERS = 10_000  # of which the most probable are searched


@dataclass(frozen=True)
class Reading:
    """What a run reads on the images that are there so far.

    Attributes:
        images: a row of `predict_files` for each variable of the rule whose image is there.
        answers: the probability of the rule, by its query; by its query's arguments where it has some, the most
            probable first. Empty until all images are there.
    """

    images: Mapping[str, Mapping[str, Any]]
    answers: Mapping[str, float]


def read_pictures(run: Run, pictures: Mapping[str, Image.Image | None]) -> Reading:
    """What the run reads on each picture, and how probable its rule is.

    Args:
        run: each of whose networks reads one image.
        pictures: by the image's name in the query; None where there is none yet.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths: dict[str, Path] = {}
        for name, picture in pictures.items():
            if picture is not None:
                paths[name] = Path(folder) / f"{name}.png"
                picture.save(paths[name])
        rows: dict[str, dict[str, Any]] = {}
        log_probs: dict[Key, Tensor] = {}
        for variable in run.constraint.variables:
            name = str(variable.inputs[0])
            if name not in paths:
                continue
            path = paths[name]
            row = predict_files(run, [path], variable.network)[0]
            rows[str(variable.key)] = row
            if "error" not in row:
                log_probs[variable.key] = run.log_probs(str(path), variable.network)
    complete = len(log_probs) == len(run.constraint.variables)
    return Reading(rows, _answers(run, log_probs) if complete else {})


def _answers(run: Run, log_probs: Mapping[Key, Tensor]) -> dict[str, float]:
    """P(rule | images) for the query, or for the most probable values of its arguments."""
    rule = run.constraint
    if not rule.arguments:
        return {str(rule.query.goal): rule.log_prob(log_probs).exp().item()}
    numbers = torch.arange(min(len(rule.answers), MOST_ANSWERS))
    columns = {key: values.expand(len(numbers), -1) for key, values in log_probs.items()}
    values, order = rule.log_prob(columns, numbers).exp().topk(min(ANSWERS, len(numbers)))
    texts = [", ".join(map(str, rule.answers[number])) for number in order.tolist()]
    return {f"{', '.join(rule.arguments)} = {text}": value for text, value in zip(texts, values.tolist(), strict=True)}


def as_picture(drawn: Mapping[str, Any] | None, dark: bool) -> Image.Image | None:
    """A sketchpad's value as a picture: strokes on the ground of the training images, or the picture dropped.

    Args:
        drawn: `background`, the picture dropped, and `composite`, with the strokes above it, both RGBA; or None.
        dark: whether the training images have light strokes on a dark ground.

    Returns:
        The picture; None where nothing has been drawn or dropped.
    """
    if drawn is None or drawn["composite"] is None:
        return None
    composite, background = drawn["composite"].convert("RGBA"), drawn["background"]
    ink = composite.getchannel("A")
    if background is not None and background.convert("RGBA").getchannel("A").getextrema()[1]:
        sheet = Image.new("RGBA", composite.size, "white")
        return Image.alpha_composite(sheet, composite).convert("RGB")
    if not ink.getextrema()[1]:
        return None
    return ink if dark else ink.point(lambda alpha: 255 - alpha)


def reading_html(reading: Reading) -> str:
    """The reading as two tables."""
    answers = [(goal, f"{probability:.4f}") for goal, probability in reading.answers.items()]
    rule = html_table(answers, ("rule", "probability")) if answers else "<p>Draw every image to see the rule.</p>"
    heading = ("image", "symbol", "second-best", "energy", "familiar", "verdict")
    images = html_table([(name, *_row(row)) for name, row in reading.images.items()], heading)
    return f"{images}{rule}"


def _row(row: Mapping[str, Any]) -> list[str]:
    if "error" in row:
        return [row["error"]]
    second = "" if row["second"] is None else f"{row['second']} ({row['second_probability']:.1%})"
    familiar = "" if row["percentile"] is None else f"{row['percentile']:.0f}%"
    verdict = "" if row["verdict"] is None else f"{row['verdict']}: {VERDICTS[row['verdict']]}"
    return [f"{row['symbol']} ({row['probability']:.1%})", second, f"{row['energy']:.1f} nats", familiar, verdict]


def build_page(run: Run) -> Any:
    """The page, gradio's Blocks.

    Raises:
        UserError: gradio is not installed, or a network of the run reads vectors, or several images at once.
    """
    gradio = load_extra("gradio", "demo", "The demo")
    names = _names(run)
    grounds = [reading.scale.to_unit(reading.ground).mean().item() for reading in run.readings.values()]
    dark = grounds[0] < 0.5

    def read(*drawn: Mapping[str, Any] | None) -> str:
        pictures = {name: as_picture(one, dark) for name, one in zip(names, drawn, strict=True)}
        return reading_html(read_pictures(run, pictures))

    with gradio.Blocks(title="gedi-nesy", analytics_enabled=False) as page:
        gradio.Markdown(f"# {run.constraint.query.goal}\nDraw or drop one image for each variable of the rule.")
        with gradio.Row():
            pads = [_sketchpad(gradio, name) for name in names]
        result = gradio.HTML(reading_html(Reading({}, {})))
        for pad in pads:
            pad.change(read, pads, result, show_progress="hidden")
        page.load(js=TAKE_PENS)
    return page


def _sketchpad(gradio: Any, name: str) -> Any:
    brush = gradio.Brush(default_size=STROKE, colors=["#000000"], color_mode="fixed")
    return gradio.Sketchpad(
        label=name, type="pil", brush=brush, canvas_size=(CANVAS, CANVAS), layers=False, sources=["upload"],
        transforms=[], min_width=CANVAS,
    )  # fmt: skip


def _names(run: Run) -> list[str]:
    """The images of the rule by their names in the query."""
    if any(reading.is_vector for reading in run.readings.values()):
        raise UserError(f"The demo shows runs on images, and {run.folder.path} reads vectors.")
    inputs = [variable.inputs for variable in run.constraint.variables]
    if any(len(several) != 1 for several in inputs):
        raise UserError(
            f"The demo shows rules whose networks read one image each; {run.constraint.query.goal} is none."
        )
    return list(dict.fromkeys(str(name) for (name,) in inputs))


def show_page(run: Run, port: int | None) -> None:
    """Serve the page to this machine alone, until Ctrl-C.

    Args:
        run: what reads.
        port: where; by default the first free one from 7860 on.

    Raises:
        UserError: as `build_page`, or the port is taken.
    """
    page = build_page(run)
    try:
        page.launch(server_name="127.0.0.1", server_port=port, share=False, max_file_size=LARGEST_FILE)
    except OSError as error:
        raise UserError(f"The port {port or 'from 7860 on'} is taken; choose another with --port.") from error
