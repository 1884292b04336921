import pytest
import torch

from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.cut import cut_examples
from gedi_nesy.nesy.run import load_run
from gedi_nesy.nesy.train import train

DIGITS = tuple("0123456789")


def cut(constraint, labels, n=None, classes=DIGITS):
    images = torch.arange(len(labels), dtype=torch.int32).view(-1, 1, 1, 1)  # an image's pixel is its number
    return cut_examples(constraint, images, labels, classes, n, torch.Generator().manual_seed(0))


def read(examples, labels, image):
    """The true label of an image of the query in each example."""
    return labels[examples.inputs.pools[image][examples.rows[image]].flatten().long()]


def test_a_sum_is_known_for_each_of_the_pairs_that_use_all_images_once():
    rule = Constraint.from_file("addition_sum", arguments=("S",))
    labels = torch.randint(10, (61,), generator=torch.Generator().manual_seed(1))
    examples = cut(rule, labels)
    used = torch.cat([examples.rows[image] for image in "XY"])
    assert (len(examples), len(used.unique()), examples.reused) == (30, 60, False)
    sums = [rule.answer_of(row)[0] for row in examples.answers]
    assert sums == (read(examples, labels, "X") + read(examples, labels, "Y")).tolist()


def test_the_sum_of_long_numbers_is_a_list():
    rule = Constraint.from_file("addition_digits", arguments=("S:3",))
    labels = torch.tensor([9, 5, 7, 8] * 3)
    examples = cut(rule, labels, n=2)
    assert len(examples) == 2
    for row, answer in enumerate(examples.answers):
        x1, x2, y1, y2 = (int(read(examples, labels, image)[row]) for image in ("X1", "X2", "Y1", "Y2"))
        total = 10 * (x1 + y1) + x2 + y2
        assert rule.answer_of(answer)[0] == (total // 100, total // 10 % 10, total % 10)


def test_images_of_two_kinds_are_cut_apart():
    """Of 5 digits and 7 signs, formulas of two digits and a sign can be made twice."""
    rule = Constraint(
        "nn(d,[X],Y,[0,1]) :: digit(X,Y). nn(s,[X],Y,[plus,minus]) :: sign(X,Y). "
        "value(X,O,Y,V) :- digit(X,A), digit(Y,B), sign(O,S), apply(S,A,B,V). "
        "apply(plus,A,B,V) :- V is A+B. apply(minus,A,B,V) :- V is A-B.",
        query="value(X,O,Y,V)",
        arguments=("V",),
    )
    labels = torch.tensor([0, 1, 0, 1, 1, 2, 3, 2, 3, 2, 3, 2])
    examples = cut(rule, labels, classes=("0", "1", "plus", "minus"))
    assert len(examples) == 2
    assert set(read(examples, labels, "O").tolist()) <= {2, 3}
    assert max(read(examples, labels, "X").tolist()) <= 1


def test_a_rule_that_few_tuples_satisfy_is_drawn_until_a_class_is_used_up(addition):
    labels = torch.arange(10).repeat_interleave(30)
    examples = cut(addition, labels)
    x, y, z = (read(examples, labels, image) for image in "XYZ")
    used = torch.cat([examples.rows[image] for image in "XYZ"])
    assert torch.equal(x + y, z)
    assert (len(used.unique()), examples.reused) == (3 * len(examples), False)
    assert 40 < len(examples) < 100  # the zeros, of which most are needed, are soon used up


def test_too_few_images_are_said_so():
    with pytest.raises(UserError, match="1 images are too few for an example of 2"):
        cut(Constraint.from_file("addition_sum", arguments=("S",)), torch.tensor([3]))


def test_a_run_on_all_examples_is_scored_on_test_images_used_once(tmp_path):
    small = {"matching.examples": 20, "matching.chains": 8, "matching.sweeps": 3, "views": 2, "sampler.steps": 1}
    run = train(
        out=tmp_path / "run",
        examples="all",
        dataset="digits",
        program="addition_sum",
        arguments=("S",),
        notify=lambda text: None,
        progress=False,
        **{"train.steps": 2, "student.steps": 2} | small,
    )
    images = run.images()
    assert run.summary["examples"] == len(images.x_train) // 2
    assert (run.recipe.each_once, run.summary["images_reused"]) == (True, False)
    again = load_run(tmp_path / "run").evaluate(test="all")
    names = ("answer_accuracy", "constraint_satisfaction", "test_constraint_log_likelihood")
    assert [again[name] for name in names] == pytest.approx([run.summary[name] for name in names], rel=1e-4)
