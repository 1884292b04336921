"""Formulas of which only the values are known."""

import json
from fractions import Fraction

import pytest
import torch
from formulas import KINDS, as_data, draw_formulas, names, read_hwf, value_of
from PIL import Image

from gedi_nesy.logic.constraint import Constraint

CLASSES = (*"0123456789", *"+-*/")


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), ("2+3*4", 14), ("8/2*3", 12), ("1-2/3", Fraction(1, 3)), ("9-8/4/2", 8), ("5-3-1", 1)],
)
def test_a_value_is_exact_and_has_products_first(text, value):
    assert value_of(text) == value


@pytest.mark.parametrize("text", ["7", "1-3", "2/6", "1-2/3", "8/3*9", "1/9/9"])
def test_the_rule_gives_a_formula_its_value(text):
    rule = Constraint.from_file(KINDS["hwf"].program, f"formula([{','.join(names(len(text)))}],V)", ("V:2",))
    certain = {}
    for variable, symbol in zip(sorted(rule.variables, key=lambda v: names(5).index(v.key)), text, strict=True):
        shown = [str(value) == symbol for value in variable.domain]
        certain[variable.key] = torch.tensor([shown]).float().log()
    value = KINDS["hwf"].written(value_of(text))
    assert rule.log_prob(certain, {"V": [value]}).item() == pytest.approx(0)


def test_drawn_formulas_show_their_symbols_and_use_each_image_once():
    labels = torch.arange(14).repeat(60)
    images = torch.arange(len(labels)).view(-1, 1, 1, 1)
    drawn = draw_formulas(KINDS["hwf"], images, labels, CLASSES, {1: 10, 3: 10}, seed=0)
    for length, formulas in drawn.items():
        shown = labels[formulas.images.flatten(1)]
        assert shown.shape == (10, length)
        assert ["".join(CLASSES[k] for k in row) for row in shown.tolist()] == formulas.texts
    used = torch.cat([formulas.images.flatten() for formulas in drawn.values()])
    assert len(used.unique()) == len(used)


def test_hwf_is_read_in_its_published_format(tmp_path):
    for name, grey in {"3/exp1.jpg": 10, "div/exp2.jpg": 100, "6/6_3.jpg": 200}.items():
        path = tmp_path / "Handwritten_Math_Symbols" / name
        path.parent.mkdir(parents=True)
        Image.new("L", (45, 45), grey).save(path)
    written = [
        {"id": "train_00000000", "img_paths": ["3/exp1.jpg"], "expr": "3", "res": 3},
        {"id": "train_00000001", "img_paths": ["3/exp1.jpg", "div/exp2.jpg", "6/6_3.jpg"], "expr": "3/6", "res": 0.5},
    ]
    (tmp_path / "expr_train.json").write_text(json.dumps(written))
    formulas = read_hwf(tmp_path, "train")
    assert list(formulas) == [1, 3]
    data = as_data(KINDS["hwf"], formulas[3])
    assert list(data) == ["X1", "O1", "X2", "V"]
    assert data["V"] == [[1, 2]]
    assert [data[name].shape for name in ("X1", "O1", "X2")] == [(1, 1, 45, 45)] * 3
    assert [data[name].float().mean().item() for name in ("X1", "O1", "X2")] == pytest.approx([10, 100, 200], abs=2)
