"""report.html: whole, escaped, and without a link to anywhere."""

import base64
from html.parser import HTMLParser

import pytest

from gedi_nesy.errors import UserError
from gedi_nesy.report.html import report_html
from gedi_nesy.report.words import FIGURES, SECTIONS, compared, duration, show, written

VOID = {"meta", "img"}


class Page(HTMLParser):
    """Collects the tags, attributes and texts, and checks that each tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def page(tmp_path, summary, config="", images=()):
    report_html(tmp_path / "report.html", summary, config, list(images))
    return Page((tmp_path / "report.html").read_text(encoding="utf-8"))


def test_the_headline_the_tables_and_the_settings(tmp_path):
    summary = {
        "dataset": "mnist",
        "examples": 1000,
        "accuracy": 0.98765,
        "certificate": {"certified": True, "failures": []},
        "seconds": 64.3,
        "versions": {"torch": "2.4.0"},
        "command": "gedi-nesy train --examples 1000",
        "something": {"new": 7},
    }
    found = page(tmp_path, summary, "seed = 3")
    assert "GEDI-NeSy on mnist, 1,000 examples" in found.texts
    for text in ("0.9877", "given", "none", "64 s", "2.4.0", "gedi-nesy train --examples 1000", "seed = 3"):
        assert text in found.texts
    assert "something · new" in found.texts  # what is not known is shown all the same
    assert "doubt" not in dict(found.attributes).values()


@pytest.mark.parametrize(
    ("track", "title", "label"),
    [
        ("points", "GEDI vision on moons, 1,000 points", "Training points"),
        ("images", "GEDI vision on moons, 1,000 images", "Training images"),
        ("rule", "GEDI-NeSy on moons, 1,000 examples", "Training examples"),
    ],
)
def test_a_report_goes_by_the_name_of_its_track(track, title, label, tmp_path):
    found = page(tmp_path, {"track": track, "dataset": "moons", "examples": 1000})
    assert title in found.texts
    assert label in found.texts


def test_a_picture_of_one_network_keeps_its_caption(tmp_path):
    (tmp_path / "samples-digits.png").write_bytes(b"")
    found = page(tmp_path, {}, "", [tmp_path / "samples-digits.png"])
    assert "Samples: digits" in found.texts
    assert any("SGLD draws from the energy-based model" in text for text in found.texts)


def test_doubt_and_the_notice_are_seen(tmp_path):
    found = page(tmp_path, {"certificate": {"certified": False}, "notice": "NOT MNIST"})
    assert "withheld" in found.texts
    assert ("class", "doubt") in found.attributes
    assert " NOT MNIST" in found.texts


def test_the_verdict_stands_before_the_headline_and_charts_are_dark_on_a_dark_page(tmp_path):
    pictures = [tmp_path / "losses.png", tmp_path / "examples.png"]
    for picture in pictures:
        picture.write_bytes(b"")
    found = page(tmp_path, {"certificate": {"certified": False}, "accuracy": 0.5}, "", pictures)
    place = next(k for k, text in enumerate(found.texts) if "withheld: nothing confirms" in text)
    assert place < found.texts.index("Accuracy")
    assert ("class", "verdict in-doubt") in found.attributes
    plots = [value for name, value in found.attributes if name == "class" and value.startswith("plot")]
    assert plots == ["plot chart", "plot"]


def test_everything_is_escaped(tmp_path):
    evil = '<script>alert("x")</script>&amp;'
    (tmp_path / "<b>.png").write_bytes(b"")
    values = {"dataset": evil, "method": evil, "notice": evil, "command": evil, evil: evil, "versions": {evil: evil}}
    found = page(tmp_path, values, evil, [tmp_path / "<b>.png"])
    assert not {"script", "b"} & set(found.tags)
    assert found.texts.count(evil) == 8  # dataset, method, command, config, two of the own key, two of versions
    assert f"GEDI-NeSy on {evil}" in found.texts


def test_images_are_inside_and_nothing_is_loaded(tmp_path):
    (tmp_path / "losses.png").write_bytes(b"some bytes")
    found = page(tmp_path, {}, "", [tmp_path / "losses.png"])
    sources = [value for name, value in found.attributes if name in ("src", "href", "srcset", "action")]
    assert sources == ["data:image/png;base64," + base64.b64encode(b"some bytes").decode()]
    assert ("alt", "Losses") in found.attributes
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "http:" not in text
    assert "https:" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text  # the style sheet is inside
    assert not {"{{", "{%", "{#"} & {text[i : i + 2] for i in range(len(text))}  # and nothing is left of the templates


def test_a_link_among_the_pictures_is_refused(tmp_path):
    (tmp_path / "private").write_bytes(b"a secret")
    (tmp_path / "losses.png").symlink_to(tmp_path / "private")
    with pytest.raises(UserError, match=r"losses.png can't be read: .*; remove it"):
        page(tmp_path, {}, "", [tmp_path / "losses.png"])
    assert not (tmp_path / "report.html").exists()


def test_every_figure_stands_in_one_section_and_what_is_compared_has_a_heading():
    assert len(FIGURES) == sum(map(len, SECTIONS.values()))
    assert all(figure.title for figure in FIGURES.values())
    assert all(bool(figure.column) == bool(figure.compared) for figure in FIGURES.values())
    assert {figure.chance for figure in FIGURES.values()} - {""} <= set(FIGURES)


def test_a_comparison_has_the_columns_of_its_track_in_the_order_of_the_report():
    assert list(compared("rule").values()) == ["accuracy", "NMI", "AMI", "Hungarian", "rule", "certified", "seconds"]
    assert next(iter(compared("points"))) == "nmi"  # which is plotted
    assert set(compared("images")) - set(compared("points")) == {"nmi_batch64", "nmi_batch64_chance"}


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("accuracy", 0.98765, "0.9877"),
        ("certificate.D", 0.00012, "0.0001 nats"),
        ("certificate.certified", False, "withheld"),
        ("seconds", 186, "3.1 min"),
        ("samples.FID", 201.26, "201.3"),
        ("accuracy", "unheard of", "unheard of"),  # a folder may come from anybody
        ("nmi", None, "–"),
        ("nobody.knows", 0.5, "0.5"),
    ],
)
def test_a_figure_is_written_as_its_kind(key, value, text):
    assert written(key, value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "yes"),
        (1234, "1,234"),
        (0.98765, "0.9877"),
        (12345.6, "12,346"),
        ([], "none"),
        ([1, 0.5], "1, 0.5"),
    ],
)
def test_values_as_a_reader_likes_them(value, text):
    assert show(value) == text


@pytest.mark.parametrize(("seconds", "text"), [(42.4, "42 s"), (186, "3.1 min"), (7920, "2.2 h")])
def test_durations(seconds, text):
    assert duration(seconds) == text
