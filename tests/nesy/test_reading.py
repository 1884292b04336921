"""How a rule's networks read pictures: grounds, and what a view may change."""

import torch

from gedi_nesy.core.reference import Reference
from gedi_nesy.data.scale import SCALES
from gedi_nesy.nesy.candidates import Shape
from gedi_nesy.nesy.losses import start_ground
from gedi_nesy.nesy.reading import Reading
from gedi_nesy.nesy.recipe import View, load_recipe

STAGE = load_recipe("gedi-nesy").train.model_copy(update={"noise": 0.0})


def reading(kind, **settings):
    return Reading(kind, (3, 16, 16), SCALES["symmetric"], torch.zeros(3, 1, 1), View(**settings))


def grounds(one, n=400):
    """The colours, as one number each, of the grounds of views of pictures all of one colour."""
    x = torch.tensor([-0.6, 0.0, 0.2]).view(1, 3, 1, 1).expand(n, -1, 16, 16)
    view = one.view(x, STAGE, torch.Generator().manual_seed(0))
    assert view.shape == x.shape
    return {tuple(round(c, 3) + 0.0 for c in colour) for colour in view.mean((2, 3)).tolist()}


def test_views_of_drawings_have_other_colours_where_their_grounds_have():
    assert grounds(reading("drawing")) == {(-0.6, 0.0, 0.2)}
    assert grounds(reading("coloured drawing", jitter=0.0)) == {(-0.6, 0.0, 0.2)}
    assert len(grounds(reading("coloured drawing"))) == 6 * 4  # orders of channels and two signs; 0 has none


def test_r_knows_no_ground_where_each_drawing_has_its_own():
    assert reading("coloured drawing").reference(50.0) == Reference(None, 50.0)
    ground = reading("drawing").reference(50.0, images=2).ground
    assert ground is not None
    assert ground.shape == (6, 1, 1)


def test_chains_begin_in_faint_noise_where_drawings_share_a_ground():
    settings = load_recipe("gedi-nesy-pictures").sampler
    ground = start_ground(settings, reading("drawing"), Shape(10, 2, (3, 16, 16)))
    assert ground.shape == (6, 1, 1)
    assert start_ground(settings, reading("coloured drawing"), Shape(10, 1, (3, 16, 16))) is None
    assert start_ground(load_recipe("gedi-nesy").sampler, reading("drawing"), Shape(10, 1, (3, 16, 16))) is None
