import torch

from gedi_nesy.data.scale import SCALES
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.examples import Examples
from gedi_nesy.nesy.inputs import Inputs
from gedi_nesy.nesy.matching import match
from gedi_nesy.nesy.recipe import load_recipe

RULE = """
nn(glyphs, [X], Y, [0,1,2,3]) :: glyph(X,Y).
sums(X,Y,S) :- glyph(X,A), glyph(Y,B), S is A+B.
"""


def glyph(symbol, generator):
    """A bar across, a bar down, a cross or a frame, a pixel or two off the middle, in uneven ink."""
    image = torch.zeros(28, 28)
    if symbol in (0, 2):
        image[13:15, 8:20] = 1
    if symbol in (1, 2):
        image[8:20, 13:15] = 1
    if symbol == 3:
        image[8:20, 8:20] = 1
        image[10:18, 10:18] = 0
    down, right = torch.randint(-2, 3, (2,), generator=generator).tolist()
    ink = 0.7 + 0.3 * torch.rand(28, 28, generator=generator)
    return (255 * ink * image.roll((down, right), (0, 1))).byte()


def test_shapes_and_the_rule_name_the_symbols():
    generator = torch.Generator().manual_seed(0)
    rule = Constraint(RULE, query="sums(X,Y,S)", arguments=("S",))
    symbols = torch.randint(4, (2, 30), generator=generator)
    pool = torch.stack([glyph(symbol, generator) for symbol in symbols.flatten().tolist()]).unsqueeze(1)
    rows = {"X": torch.arange(30), "Y": torch.arange(30, 60)}
    sums = [int(total) for total in symbols.sum(0)]
    examples = Examples(Inputs.of_pool(pool, rows), rule.number_arguments({"S": sums}), {}, False)
    loader = Loader(examples, rule, SCALES["symmetric"], torch.device("cpu"))
    matched, (targets, *_) = match(
        rule, loader, load_recipe("gedi-nesy-few", {"matching.chains": 16, "matching.sweeps": 15})
    )
    assert targets["X"].argmax(1).tolist() == symbols[0].tolist()
    assert targets["Y"].argmax(1).tolist() == symbols[1].tolist()
    assert matched.chains >= 1
    assert 0 < matched.margin <= 1


def test_images_without_a_shape_tell_nothing_and_break_nothing():
    rule = Constraint(RULE, query="sums(X,Y,S)", arguments=("S",))
    rows = {"X": torch.arange(8), "Y": torch.arange(8, 16)}
    inputs = Inputs.of_pool(torch.zeros(16, 1, 28, 28, dtype=torch.uint8), rows)
    examples = Examples(inputs, rule.number_arguments({"S": [2] * 8}), {}, False)
    loader = Loader(examples, rule, SCALES["symmetric"], torch.device("cpu"))
    matched, (targets, *_) = match(
        rule, loader, load_recipe("gedi-nesy-few", {"matching.chains": 4, "matching.sweeps": 2})
    )
    assert matched.energy == 0
    assert matched.margin == 0
    assert (targets["X"].argmax(1) + targets["Y"].argmax(1)).tolist() == [2] * 8
