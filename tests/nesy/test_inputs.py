"""Inputs of any kind: from tables, arrays and feature files; what is wrong is named with its place."""

import numpy as np
import pytest
import torch
from PIL import Image

from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.examples import draw_examples
from gedi_nesy.nesy.inputs import from_arrays
from gedi_nesy.nesy.table import read_inputs, read_table

RULE = """
nn(digits, [X], Y, [0,1,2,3]) :: digit(X,Y).
nn(signs, [X], Y, [plus,times]) :: sign(X,Y).
value(A,plus,B,V) :- V is A+B.
value(A,times,B,V) :- V is A*B.
formula(X,O,Y,V) :- digit(X,A), sign(O,S), digit(Y,B), value(A,S,B,V).
"""


@pytest.fixture(scope="module")
def rule():
    return Constraint(RULE, query="formula(X,O,Y,V)", arguments=("V",))


@pytest.fixture
def folder(tmp_path):
    """Colour digits of 40x36 pixels in red k, grey signs of 20x20, one digit of another size and one that is grey."""
    for k in range(4):
        Image.new("RGB", (36, 40), (k, 10, 20)).save(tmp_path / f"{k}.png")
    for k, name in enumerate(("plus", "times")):
        Image.new("L", (20, 20), k).save(tmp_path / f"{name}.png")
    Image.new("RGB", (40, 36)).save(tmp_path / "wide.png")
    Image.new("L", (36, 40), 200).save(tmp_path / "grey.png")
    return tmp_path


def write(folder, *lines):
    (folder / "table.csv").write_text("X,O,Y,V\n" + "\n".join(lines) + "\n")
    return folder / "table.csv"


def test_networks_of_one_rule_read_pictures_of_different_kinds(folder, rule):
    table = write(folder, "3.png,plus.png,1.png,4", "2.png,times.png,3.png,6")
    inputs, arguments, lines, _ = read_inputs(table, rule)
    assert arguments == {"V": [4, 6]}
    assert lines == (2, 3)
    assert inputs.pools["X"] is inputs.pools["Y"]
    assert inputs.pools["X"].shape == (3, 3, 40, 36)  # 3.png once
    assert inputs.pools["O"].shape == (2, 1, 20, 20)
    red = {image: inputs.pools[image][inputs.rows[image], 0, 0, 0].tolist() for image in "XOY"}
    assert red == {"X": [3, 2], "O": [0, 1], "Y": [1, 3]}
    assert len(inputs) == 2
    with pytest.raises(UserError, match="X is colour of 40x36 pixels and O grey of 20x20 pixels"):
        _ = read_table(table, rule).pool


def test_a_size_and_colour_make_all_pictures_one_kind(folder, rule):
    table = write(folder, "3.png,plus.png,wide.png,4", "grey.png,times.png,3.png,6")
    inputs = read_inputs(table, rule, (24, 16), 3).inputs
    assert {tuple(pool.shape[1:]) for pool in inputs.pools.values()} == {(3, 24, 16)}
    assert inputs.single_pool[inputs.rows["X"][1]].unique().tolist() == [200]
    assert read_table(table, rule, (28, 28), 1).pool.shape == (5, 1, 28, 28)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "1.png,plus.png,wide.png,4",
            "line 3: Y is colour of 36x40 pixels, and digits reads colour of 40x36",
        ),
        ("grey.png,plus.png,1.png,4", "line 3: X is grey of 40x36 pixels, .* or say which by --size and --channels"),
        ("1.png,plus.png,gone.png,4", "line 3: There is no image file"),
        ("1.png,plus.png,2.png,11", "line 3: the rule is impossible for V = 11"),
    ],
)
def test_a_row_that_is_unlike_the_others_is_named(line, sentence, folder, rule):
    with pytest.raises(UserError, match=sentence):
        read_inputs(write(folder, "3.png,plus.png,1.png,4", line), rule)


def test_a_feature_file_gives_vectors_by_name_or_by_row(folder, rule):
    table = write(folder, "a,plus.png,b,4", "b,times.png,a,6")
    np.savez(folder / "rows.npz", X=np.array([[5.0, 6], [1, 2]]), Y=np.array([[1.0, 2], [5, 6]]))
    inputs = read_inputs(table, rule, features=folder / "rows.npz").inputs
    assert inputs.pools["X"][inputs.rows["X"]].tolist() == [[5, 6], [1, 2]]
    assert inputs.pools["Y"].shape == (2, 2)  # a and b once
    assert inputs.pools["O"].shape == (2, 1, 20, 20)
    np.savez(folder / "named.npz", names=["plus.png", "times.png", "a", "b"], features=np.eye(4))
    inputs, *_, features = read_inputs(table, rule, features=folder / "named.npz")
    assert inputs.pools["Y"][inputs.rows["Y"]].tolist() == [[0, 0, 0, 1], [0, 0, 1, 0]]
    assert inputs.pools["O"].shape == (2, 1, 20, 20)  # image files stay pictures, and features say which are alike
    assert features["O"][inputs.rows["O"]].tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]
    np.savez(folder / "some.npz", names=["a", "b"], features=np.eye(2))
    with pytest.raises(UserError, match=r"has no vector named plus.png, which row 1 of the table wants"):
        read_inputs(table, rule, features=folder / "some.npz")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"Z": np.zeros((2, 3))}, "has Z; a feature file has arrays names and features, or one for each of X, O, Y"),
        ({"X": np.zeros((3, 3))}, r"X is \[3, 3\]; give \[2, D\], a vector for each row"),
        ({"names": ["a", "a"], "features": np.zeros((2, 3))}, r"has 1 different names for features \[2, 3\]"),
        ({"X": np.array([[0.0], [np.nan]])}, "X has a value that is no finite number in row 2"),
    ],
)
def test_a_feature_file_that_does_not_fit_is_refused(arrays, sentence, folder, rule):
    np.savez(folder / "f.npz", **arrays)
    with pytest.raises(UserError, match=sentence):
        read_inputs(write(folder, "1.png,plus.png,3.png,4", "1.png,plus.png,3.png,4"), rule, features=folder / "f.npz")


def data(**changes):
    pictures = torch.arange(2 * 3 * 8 * 6, dtype=torch.uint8).view(2, 3, 8, 6)
    return {"X": pictures, "Y": pictures.permute(0, 2, 3, 1).numpy(), "O": np.eye(2, 5), "V": [4, 6]} | changes


def test_arrays_for_each_variable(rule):
    inputs, arguments = from_arrays(rule, data())
    assert arguments == {"V": [4, 6]}
    assert torch.equal(inputs.pools["Y"][inputs.rows["Y"]], inputs.pools["X"][inputs.rows["X"]])
    assert inputs.pools["O"].tolist() == np.eye(2, 5).tolist()
    assert inputs.pools["O"].dtype == torch.float32
    grey, _ = from_arrays(rule, data(O=np.zeros((2, 9, 9), np.uint8), V=np.array([4, 6])))
    assert grey.pools["O"].shape == (2, 1, 9, 9)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"X": torch.zeros(2, 3, 8, 6)}, r"X is float32 \[2, 3, 8, 6\]; give pictures as uint8"),
        ({"O": ["a.png", "b.png"]}, "O is no array of numbers"),
        (
            {"Y": torch.zeros(2, 3, 8, 8, dtype=torch.uint8)},
            "row 1: Y is colour of 8x8 pixels, and digits reads colour",
        ),
        ({"O": np.eye(3, 5)}, "X has 2, O has 3, Y has 2, V has 2"),
        ({"V": [4, 12]}, "row 2: the rule is impossible for V = 12"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, sentence, rule):
    with pytest.raises(UserError, match=sentence):
        from_arrays(rule, data(**changes))
    with pytest.raises(UserError, match="The data have no V; give X, O, Y, V"):
        from_arrays(rule, {name: values for name, values in data().items() if name != "V"})


def test_vectors_by_example_become_vectors_by_input(folder, rule):
    inputs = read_inputs(write(folder, "3.png,plus.png,1.png,4", "1.png,plus.png,3.png,4"), rule).inputs
    vectors = {"X": torch.tensor([[3.0], [1.0]]), "Y": torch.tensor([[1.0], [3.0]])}
    found = inputs.per_input(vectors)
    assert found["X"].flatten().tolist() == inputs.pools["X"][:, 0, 0, 0].tolist()
    assert found["X"] is found["Y"]


def test_examples_of_a_rule_are_drawn_from_vectors():
    rule = Constraint("nn(bits,[X],Y,[0,1]) :: bit(X,Y). equal(X,Y) :- bit(X,A), bit(Y,A).", query="equal(X,Y)")
    vectors, labels = torch.arange(8.0).view(4, 2), torch.tensor([0, 1, 0, 1])
    drawn = draw_examples(rule, vectors, labels, ("0", "1"), 2, torch.Generator().manual_seed(0))
    first, second = (drawn.pool[drawn.rows[image], 0] / 2 % 2 for image in "XY")  # the labels
    assert drawn.pool.shape[1:] == (2,)
    assert first.tolist() == second.tolist()
