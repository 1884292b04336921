from types import SimpleNamespace

import torch

from gedi_nesy.data.scale import SCALES
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.examples import Examples
from gedi_nesy.nesy.inputs import Inputs
from gedi_nesy.nesy.matching import _find_skews, _ladders, match
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


class Searched:
    """A search that found, for each skew of the digits, written-down skews and separations of symbols."""

    def __init__(self, found):
        self.found, self.settings = found, load_recipe("gedi-nesy-few").matching

    def run(self, skews, swept):
        skew, separation = self.found[skews["digits"]]
        chains = SimpleNamespace(
            energy=lambda: torch.tensor([1.0, 0.0]),
            skews=lambda chain: {"digits": [0.0, skew][chain]},
            separation=lambda chain: [0.0, separation][chain],
        )
        return chains, 0.0


def test_of_the_skews_that_bear_themselves_out_the_one_that_separates_best_is_taken():
    # As measured: EvenOdd, whose even digits were all read as odd ones at 3.2, and digits of which two are common.
    uniform = Searched(
        {4.5: (2.9, 0.74), 3.2: (2.9, 0.62), 2.5: (1.1, 0.82), 1.9: (1.1, 0.9), 1.4: (1.1, 0.9), 1: (1.1, 0.89)}
    )
    common = Searched(
        {4.5: (2.5, 0.6), 3.2: (2.4, 0.66), 2.5: (2.1, 0.63), 1.9: (1.9, 0.63), 1.4: (1.5, 0.5), 1: (1.2, 0.4)}
    )
    ladders = _ladders({"digits": 10})
    assert _find_skews(uniform, ladders, lambda sweep: None) == {"digits": 1.0}
    assert _find_skews(common, ladders, lambda sweep: None) == {"digits": 1.9}


class Ideal:
    """A search that finds the true skews whatever it assumes, and separates symbols the better the nearer it was."""

    settings = load_recipe("gedi-nesy-few").matching

    def __init__(self, true):
        self.true = true

    def run(self, skews, swept):
        swept(self.settings.sweeps)
        apart = sum(abs(skews[network] - skew) for network, skew in self.true.items())
        chains = SimpleNamespace(
            energy=lambda: torch.zeros(1), skews=lambda chain: self.true, separation=lambda chain: -apart
        )
        return chains, 0.0


def test_several_networks_have_skews_of_their_own():
    true = {"digits": 3.2, "operators": 1.4, "letters": 1.9, "bits": 1.0}
    ladders, counted = _ladders({"digits": 10, "operators": 3, "letters": 10, "bits": 2}), []
    assert _find_skews(Ideal(true), ladders, counted.append) == true
    assert ladders["operators"] == [1.4, 1.0]
    searches = sum(map(len, ladders.values()))
    assert counted == [k * Ideal.settings.sweeps for k in range(1, searches + 1)]
