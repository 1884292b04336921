import pytest
import torch
from torch.nn import functional as F

from gedi_nesy.data.scale import SCALES
from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.examples import Examples
from gedi_nesy.nesy.inputs import Inputs
from gedi_nesy.nesy.likeness import by_cosine, by_shape, cosine_distance
from gedi_nesy.nesy.matching import match
from gedi_nesy.nesy.recipe import load_recipe
from gedi_nesy.views.deformation import deformation_distance, normalise_shape
from gedi_nesy.views.drawings import ink

RULE = """
nn(things, [X], Y, [0,1,2,3]) :: thing(X,Y).
sums(X,Y,S) :- thing(X,A), thing(Y,B), S is A+B.
"""


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_cosine_distances_by_hand():
    features = torch.tensor([[3.0, 1.0], [1.0, 3.0], [-1.0, 1.0], [1.0, -1.0]])  # their mean is [1, 1]
    expected = torch.tensor([[0.0, 1, 2, 1], [1, 0, 1, 2], [2, 1, 0, 1], [1, 2, 1, 0]])
    torch.testing.assert_close(cosine_distance(features), expected)
    torch.testing.assert_close(by_cosine(features).distances(torch.tensor([0, 2])), 2 * (1 - torch.eye(2)))


def test_the_shape_of_digits_is_that_of_their_ink(images):
    digits = images.x_train[:12]
    rows = torch.arange(12)
    expected = deformation_distance(normalise_shape(digits[:, 0].float() / 255))
    torch.testing.assert_close(by_shape(digits).distances(rows), expected)
    torch.testing.assert_close(by_shape(255 - digits).distances(rows), expected)  # dark on light
    full = digits.clone()
    full[:, 0, 14, 14] = 255
    expected = by_shape(full).distances(rows)
    colours = torch.cat([full // 3, 200 - full // 3, torch.full_like(full, 9)], 1)
    torch.testing.assert_close(by_shape(colours).distances(rows), expected, rtol=0.05, atol=1.0)


def test_large_drawings_are_compared_small(images):
    digits = images.x_train[:40]
    large = F.interpolate(digits.float(), scale_factor=4, mode="bilinear").byte()
    small, big = by_shape(digits).distances(torch.arange(40)), by_shape(large).distances(torch.arange(40))
    assert torch.corrcoef(torch.stack([small.flatten(), big.flatten()]))[0, 1] > 0.97


def test_ink_is_the_difference_to_the_border():
    picture = torch.full((1, 2, 5, 5), 200, dtype=torch.uint8)
    picture[0, 0, 2, 2], picture[0, 1, 2, 2], picture[0, 1, 2, 3] = 98, 149, 251
    found = ink(picture)[0]
    assert found[2, 2:4].tolist() == [1.0, pytest.approx(51 / (102 + 51))]  # the greatest is 1 in colours
    assert found.sum() == found[2, 2:4].sum()
    assert ink(picture[:, :1])[0, 2, 2].item() == pytest.approx(102 / 255)


def teachers_by(features, symbols, **settings):
    rule = Constraint(RULE, query="sums(X,Y,S)", arguments=("S",))
    n = symbols.shape[1]
    rows = {"X": torch.arange(n), "Y": torch.arange(n, 2 * n)}
    pool = torch.zeros(2 * n, 1, 28, 28, dtype=torch.uint8)
    examples = Examples(Inputs.of_pool(pool, rows), rule.number_arguments({"S": symbols.sum(0)}), {}, False)
    loader = Loader(examples, rule, SCALES["symmetric"], torch.device("cpu"))
    recipe = load_recipe("gedi-nesy-few", {"matching.chains": 16, "matching.sweeps": 15} | settings)
    return match(rule, loader, recipe, likeness=dict.fromkeys(loader.calls, by_cosine(features)))


def matched_by(features, symbols, **settings):
    matched, (targets, *_) = teachers_by(features, symbols, **settings)
    return matched, targets


def test_features_name_the_symbols_and_say_how_well_they_separate_them():
    symbols = torch.randint(4, (2, 40), generator=generator())
    centres = 3 * torch.randn(4, 16, generator=generator(1))
    noise = torch.randn(80, 16, generator=generator(2))
    matched, targets = matched_by(centres[symbols.flatten()] + noise, symbols)
    assert targets["X"].argmax(1).tolist() == symbols[0].tolist()
    assert targets["Y"].argmax(1).tolist() == symbols[1].tolist()
    assert matched.likeness == "features"
    assert matched.separation > 0.9
    of_noise, _ = matched_by(noise, symbols)
    assert of_noise.separation < 0.35


def test_symbols_of_which_one_is_much_more_common_are_found_where_the_recipe_learns_how_common_they_are():
    shares = torch.tensor([0.7, 0.14, 0.1, 0.06])
    symbols = torch.multinomial(shares, 120, replacement=True, generator=generator()).view(2, 60)
    features = 3 * torch.randn(4, 16, generator=generator(1))[symbols.flatten()]
    features += torch.randn(120, 16, generator=generator(2))
    matched, targets = matched_by(features, symbols, **{"train.prior": "learned"})
    right = [(targets[key].argmax(1) == own).float().mean() for key, own in zip("XY", symbols, strict=True)]
    assert min(right) > 0.95
    assert matched.separation > matched_by(features, symbols)[0].separation


def test_the_second_teacher_has_other_symbols_that_satisfy_the_rule_too():
    symbols = torch.randint(4, (2, 40), generator=generator())
    features = torch.randn(80, 16, generator=generator(2))  # which say nothing
    best, rival = teachers_by(features, symbols)[1]
    for targets in (best, rival):
        assert (targets["X"].argmax(1) + targets["Y"].argmax(1) == symbols.sum(0)).float().mean() > 0.9
    agreement = [(best[key].argmax(1) == rival[key].argmax(1)).float().mean() for key in "XY"]
    assert sum(agreement) / 2 < 0.8


def test_features_that_are_no_numbers_are_refused():
    with pytest.raises(UserError, match="The features of row 1 are not finite numbers"):
        by_cosine(torch.tensor([[0.0, 1.0], [torch.nan, 2.0]]))
