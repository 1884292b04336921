import torch

from gedi_nesy.data.blank import are_blank


def test_a_colour_image_is_blank_when_no_colour_varies():
    flat = torch.tensor([0.9, 0.3, 0.1]).view(3, 1, 1).expand(3, 8, 8)
    red_square = flat.clone()
    red_square[0, 2:5, 2:5] = 0.2  # green and blue stay as they are
    assert are_blank(torch.stack([flat, red_square]), colours=3).tolist() == [True, False]


def test_one_blank_image_of_several_makes_an_input_blank():
    line, flat = torch.zeros(1, 8, 8), torch.full((1, 8, 8), 0.5)
    line[:, :, 3] = 1
    inputs = torch.stack([torch.cat(pair) for pair in ((line, line), (line, flat), (flat, line))])
    assert are_blank(inputs, colours=1).tolist() == [False, True, True]
