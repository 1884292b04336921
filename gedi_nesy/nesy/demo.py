"""A page on which one draws an image for each variable of a rule and sees what a trained run reads."""

import tempfile
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from gedi_nesy.data.image_file import ENDINGS, read_image
from gedi_nesy.errors import UserError
from gedi_nesy.extras import load_extra
from gedi_nesy.html_table import html_table
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.ground import Key, Value
from gedi_nesy.nesy.files import predict_files
from gedi_nesy.nesy.queries import parts_of
from gedi_nesy.nesy.reading import Reading as HowRead
from gedi_nesy.nesy.run import Run
from gedi_nesy.report.words import VERDICTS

CANVAS = 280  # pixels, ten for each that a network reads
BRUSH = 12  # pixels, half of a stroke's width; MNIST's are two to three of 28 wide
DROP = 120  # pixels high, where a file is dropped
LARGEST_FILE = "8mb"
TAKE_PENS = """() => {
  const taken = new WeakSet();
  setInterval(() => document.querySelectorAll('button[aria-label="Brush"]').forEach(pen => {
    if (!taken.has(pen)) { taken.add(pen); pen.click(); }
  }), 200);
}"""  # a sketchpad waits for its pen to be chosen; those of a tab come when it is opened
ANSWERS = 5  # shown, where the rule has arguments
AT_ONCE = 1000  # answers whose probabilities are computed together


@dataclass(frozen=True)
class Reading:
    """What a run reads on the images that are there so far.

    Attributes:
        images: a row of `predict_files` for each variable of the rule whose image is there.
        seen: what its network gets of each that can be read, uint8 [C, H, W].
        answers: the probability of the rule, by its query; by its query's arguments where it has some, the most
            probable first. Empty until all images are there.
    """

    images: Mapping[str, Mapping[str, Any]]
    seen: Mapping[str, Tensor]
    answers: Mapping[str, float]


def read_pictures(run: Run, rule: Constraint, pictures: Mapping[str, Image.Image | Path | None]) -> Reading:
    """What the run reads on each picture, and how probable a rule is.

    Args:
        run: each of whose networks reads one image.
        rule: of one of its queries.
        pictures: or their files, by the image's name in the query; None where there is none yet.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths: dict[str, Path] = {}
        for name, picture in pictures.items():
            if isinstance(picture, Image.Image):
                paths[name] = Path(folder) / f"{name}.png"
                picture.save(paths[name])
            elif picture is not None:
                paths[name] = picture
        rows: dict[str, dict[str, Any]] = {}
        seen: dict[str, Tensor] = {}
        log_probs: dict[Key, Tensor] = {}
        for variable in rule.variables:
            name = str(variable.inputs[0])
            if name not in paths:
                continue
            path = paths[name]
            row = predict_files(run, [path], variable.network)[0]
            rows[str(variable.key)] = row
            if "error" in row:
                row["error"] = row["error"].replace(str(path), path.name)
            else:
                channels, height, width = run.readings[variable.network].shape
                seen[str(variable.key)] = read_image(path, (height, width), channels)
                log_probs[variable.key] = run.log_probs(str(path), variable.network)
    complete = len(log_probs) == len(rule.variables)
    return Reading(rows, seen, _answers(rule, log_probs) if complete else {})


def _answers(rule: Constraint, log_probs: Mapping[Key, Tensor]) -> dict[str, float]:
    """P(rule | images) for the query, or for the most probable values of its arguments."""
    if not rule.arguments:
        return {str(rule.query.goal): rule.log_prob(log_probs).exp().item()}
    answers = rule.answers
    parts = [_probabilities(rule, log_probs, answers[i : i + AT_ONCE]) for i in range(0, len(answers), AT_ONCE)]
    values, order = torch.cat(parts).topk(min(ANSWERS, len(answers)))
    texts = [", ".join(map(str, answers[number])) for number in order.tolist()]
    return {f"{', '.join(rule.arguments)} = {text}": value for text, value in zip(texts, values.tolist(), strict=True)}


def _probabilities(rule: Constraint, log_probs: Mapping[Key, Tensor], answers: Sequence[Sequence[Value]]) -> Tensor:
    """P(rule | images) with each of these values of its arguments, [answers]."""
    columns = {key: values.expand(len(answers), -1) for key, values in log_probs.items()}
    return rule.log_prob(columns, dict(zip(rule.arguments, zip(*answers, strict=True), strict=True))).exp()


def as_picture(drawn: Mapping[str, Any] | None, dark: bool) -> Image.Image | None:
    """A sketchpad's value as a picture: its strokes on the ground of the training images.

    Args:
        drawn: `composite`, the strokes on a sheet that is white or transparent; or None.
        dark: whether the training images have light strokes on a dark ground.

    Returns:
        The picture, grey; None where nothing has been drawn.
    """
    if drawn is None or drawn["composite"] is None:
        return None
    strokes = drawn["composite"].convert("RGBA")
    sheet = Image.alpha_composite(Image.new("RGBA", strokes.size, "white"), strokes).convert("L")
    if sheet.getextrema()[0] == 255:
        return None
    return ImageOps.invert(sheet) if dark else sheet


def reading_html(reading: Reading) -> str:
    """The reading: a card for each image, side by side where there is room, and the probability of the rule."""
    cards = "".join(_card(name, row, reading.seen.get(name)) for name, row in reading.images.items())
    answers = [(goal, f"{probability:.4f}") for goal, probability in reading.answers.items()]
    missing = "<p>The rule waits for the images that are missing.</p>"
    rule = html_table(answers, ("rule", "probability")) if answers else missing
    return f'<div style="display: flex; flex-wrap: wrap; gap: 16px; margin-bottom: 16px">{cards}</div>{rule}'


def _card(name: str, row: Mapping[str, Any], pixels: Tensor | None) -> str:
    """What is read on an image, beside what its network gets of it, uint8 [C, H, W]."""
    picture = "" if pixels is None else _picture_html(name, pixels)
    first, *others = map(escape, _lines(row))
    text = "<br>".join([f"<strong>{escape(name)}: {first}</strong>", *others])
    style = "display: flex; flex: 1 1 280px; gap: 12px"
    return f'<section aria-label="{escape(name)}" style="{style}">{picture}<div>{text}</div></section>'


def _picture_html(name: str, pixels: Tensor) -> str:
    """An image, uint8 [C, H, W], as large as it can be told from others."""
    file = BytesIO()
    to_pil_image(pixels).save(file, "PNG")
    source = f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"
    style = "height: 84px; margin: 0; image-rendering: pixelated"
    return f'<img src="{source}" alt="{escape(name)} as its network sees it" style="{style}">'


def _lines(row: Mapping[str, Any]) -> list[str]:
    if "error" in row:
        return [row["error"]]
    lines = [f"{row['symbol']} ({row['probability']:.1%})"]
    if row["second"] is not None:
        lines.append(f"second-best: {row['second']} ({row['second_probability']:.1%})")
    if row["verdict"] is not None:
        lines.append(f"{row['verdict']}: {VERDICTS[row['verdict']]}")
    energy = f"energy: {row['energy']:.1f} nats"
    if row["percentile"] is not None:
        energy += f"; more familiar than {row['percentile']:.0f}% of the training images"
    return [*lines, energy]


def build_page(run: Run) -> Any:
    """The page, gradio's Blocks; a rule of several queries has a tab for each.

    Raises:
        UserError: gradio is not installed, or a network of the run reads vectors, or several images at once.
    """
    gradio = load_extra("gradio", "demo", "The demo")
    parts = {rule: _images(run, rule) for rule in parts_of(run.rule)}
    with gradio.Blocks(title="gedi-nesy", analytics_enabled=False) as page:
        if len(parts) == 1:
            _add_query(gradio, run, *parts.popitem())
        else:
            for rule, images in parts.items():
                with gradio.Tab(str(rule.query.goal)):
                    _add_query(gradio, run, rule, images)
        page.load(js=TAKE_PENS)
    return page


def _add_query(gradio: Any, run: Run, rule: Constraint, images: Mapping[str, HowRead]) -> None:
    """Put a place for each image of a query on the page, and below them what is read."""
    pads: dict[str, Any] = {}
    files: dict[str, Any] = {}

    def read(*values: Any) -> str:
        drawings, paths = dict(zip(pads, values, strict=False)), dict(zip(files, values[len(pads) :], strict=True))
        pictures: dict[str, Image.Image | Path | None] = {}
        for name, how in images.items():
            path = paths[name]
            pictures[name] = Path(path) if path else as_picture(drawings.get(name), _is_dark(how))
        return reading_html(read_pictures(run, rule, pictures))

    how_given = "Draw an image" if any(map(_is_drawn, images.values())) else "Give an image file"
    gradio.Markdown(f"# {rule.query.goal}\n{how_given} for each variable of the rule.")
    with gradio.Row():
        for name, how in images.items():
            with gradio.Column(min_width=CANVAS):
                if _is_drawn(how):
                    pads[name] = _sketchpad(gradio, name)
                files[name] = gradio.File(label=f"{name} from a file", file_types=sorted(ENDINGS), height=DROP)
    result = gradio.HTML(reading_html(Reading({}, {}, {})))
    inputs = [*pads.values(), *files.values()]
    for one in inputs:
        one.change(read, inputs, result, show_progress="hidden")


def _is_drawn(how: HowRead) -> bool:
    """Whether a network reads grey drawings, which a black pen can make."""
    return how.kind == "drawing" and how.shape[0] == 1


def _is_dark(how: HowRead) -> bool:
    return how.scale.to_unit(how.ground).mean().item() < 0.5


def _sketchpad(gradio: Any, name: str) -> Any:
    brush = gradio.Brush(default_size=BRUSH, colors=["#000000"], color_mode="fixed")
    return gradio.Sketchpad(
        label=name, type="pil", brush=brush, canvas_size=(CANVAS, CANVAS), layers=False, sources=[], transforms=[],
        min_width=CANVAS,
    )  # fmt: skip


def _images(run: Run, rule: Constraint) -> dict[str, HowRead]:
    """How the images of a query are read, by their names in it."""
    if any(how.is_vector for how in run.readings.values()):
        raise UserError(f"The demo shows runs on images, and {run.folder.path} reads vectors.")
    if any(len(variable.inputs) != 1 for variable in rule.variables):
        raise UserError(f"The demo shows rules whose networks read one image each; {rule.query.goal} is none.")
    return {str(variable.inputs[0]): run.readings[variable.network] for variable in rule.variables}


def show_page(run: Run, port: int | None, notify: Callable[[str], None]) -> None:
    """Serve the page to this machine alone, until Ctrl-C.

    Args:
        run: what reads.
        port: where; by default the first free one from 7860 on.
        notify: hears where the page is.

    Raises:
        UserError: as `build_page`, or the port is taken.
    """
    page = build_page(run)
    try:
        _, url, _ = page.launch(
            server_name="127.0.0.1", server_port=port, share=False, max_file_size=LARGEST_FILE, show_error=True,
            quiet=True, prevent_thread_lock=True,
        )  # fmt: skip
    except OSError as error:
        raise UserError(f"The port {port or 'from 7860 on'} is taken; choose another with --port.") from error
    notify(f"The page is at {url}; Ctrl-C ends it.")
    page.block_thread()
