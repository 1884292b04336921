import torch
from torch.nn import functional as F

from gedi_nesy.views.deformation import affinity, deformation_distance, normalise_shape


def bar(slant=0.0, down=0, right=0, size=28):
    """A vertical bar, 12 by 4 pixels, slanted and shifted."""
    image = torch.zeros(size, size)
    for row in range(-6, 6):
        start = 12 + right + round(slant * row)
        image[14 + down + row, start : start + 4] = 1
    return image


def test_normalised_drawings_stand_upright_in_the_middle():
    drawings = torch.stack([bar(), bar(0.5), bar(0, 4, -5)])
    images = normalise_shape(drawings)
    x = torch.linspace(-1, 1, 28)
    for image in images:
        ink = image / image.sum()
        assert abs((ink.sum(0) * x).sum()) < 0.01
        assert abs((ink.sum(1) * x).sum()) < 0.01
    assert (images[0] - images[2]).abs().max() < 1e-4
    assert (images[0] - images[1]).abs().sum() < 0.6 * (drawings[0] - drawings[1]).abs().sum()


def test_distance_by_the_definition():
    images = torch.rand(3, 6, 8, generator=torch.Generator().manual_seed(0))
    sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
    gradients = F.conv2d(images[:, None], torch.stack([sobel, sobel.T])[:, None], padding=1)

    def patch(image, y, x):
        return F.pad(gradients[image], (4, 4, 4, 4))[:, y + 3 : y + 6, x + 3 : x + 6]

    def inside(y, x):
        return 0 <= y < 6 and 0 <= x < 8

    def there(a, b):
        """Places outside the other image have an empty patch."""
        total = 0.0
        for y in range(0, 6, 2):
            for x in range(0, 8, 2):
                near = [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
                others = [patch(b, *place) if inside(*place) else torch.zeros(2, 3, 3) for place in near]
                total += min((patch(a, y, x) - other).square().sum() for other in others)
        return total

    expected = [[0.0 if a == b else (there(a, b) + there(b, a)) / 2 for b in range(3)] for a in range(3)]
    torch.testing.assert_close(deformation_distance(images, reach=1), torch.tensor(expected), atol=1e-4, rtol=1e-4)


def test_a_small_shift_costs_nothing_a_large_one_does():
    distances = deformation_distance(torch.stack([bar(), bar(0, 1, 2), bar(0, 0, 6)]), reach=2)
    assert distances[0, 1] < 1e-3
    assert distances[0, 2] > 1


def test_affinity_in_units_of_the_nearest_neighbour():
    # units 1, 1 and 4; scaled distances .. 1, 2, 2.5 with median 2 and standard deviation .7638
    distances = torch.tensor([[0.0, 1, 4], [1, 0, 5], [4, 5, 0]])
    expected = torch.tensor([[0.0, 1.3093, 0.0], [1.3093, 0, -0.5], [0, -0.5, 0]])
    torch.testing.assert_close(affinity(distances, 1, 0.5, 0.5), expected, atol=1e-4, rtol=0)
