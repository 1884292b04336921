import pytest
import torch

from gedi_nesy.views.choose import DrawingView, PictureView, VectorView, kind_of
from gedi_nesy.views.drawings import ground_of_each, recolour
from gedi_nesy.views.features import drop_features, noise_features


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def coloured(images, seed=0):
    """Grey drawings in random colours on grounds of random colours."""
    ink = images.float() / 255
    front, back = torch.randint(256, (2, len(images), 3, 1, 1), generator=generator(seed)).float()
    return (ink * front + (1 - ink) * back).byte()


def photographs(n):
    """Smooth random pictures."""
    small = torch.rand(n, 3, 5, 5, generator=generator(1))
    return (255 * torch.nn.functional.interpolate(small, size=32, mode="bilinear")).byte()


def test_the_kind_is_told_from_the_inputs(images):
    digits = images.x_train[:50]
    assert [kind_of(x) for x in (digits, 255 - digits, digits.expand(-1, 3, -1, -1))] == ["drawing"] * 3
    turned = torch.where(torch.arange(50).view(-1, 1, 1, 1) % 2 == 0, digits, 255 - digits)
    assert [kind_of(x) for x in (coloured(digits), turned)] == ["coloured drawing"] * 2
    assert kind_of(photographs(20)) == "picture"
    assert kind_of(torch.rand(20, 28)) == "vector"


def test_a_coloured_drawing_is_warped_as_its_grey_one_on_its_own_ground(images):
    grey = images.x_train[:4].float() / 255
    colours = torch.cat([grey, 1 - grey, 0.5 * grey + 0.2], 1)
    view = DrawingView()(colours, generator(2))
    first, second, third = view.unbind(1)
    torch.testing.assert_close(second, 1 - first, atol=1e-5, rtol=0)
    torch.testing.assert_close(third, 0.5 * first + 0.2, atol=1e-5, rtol=0)
    flat = torch.rand(3, 3, 1, 1).expand(-1, -1, 20, 24)  # each of one colour
    torch.testing.assert_close(DrawingView()(flat, generator()), flat)
    assert torch.equal(ground_of_each(flat), flat[..., :1, :1])


def test_pictures_are_not_flipped_unless_asked(images):
    half = torch.zeros(200, 3, 16, 16)
    half[..., 8:] = 1.0  # light on the right
    mirrored = []
    for view in (PictureView(), PictureView(flip=0.5)):
        seen = view(half, generator()).mean((1, 2))  # [200, columns]
        mirrored.append((seen[:, 0] > seen[:, -1]).float().mean().item())
    assert mirrored[0] == 0
    assert 0.35 < mirrored[1] < 0.65


def test_a_picture_s_view_keeps_the_range_of_the_inputs():
    x = photographs(20).float() / 127.5 - 1
    view = PictureView(-1.0, 1.0)(x, generator())
    assert -1.001 <= view.min() < view.max() <= 1.001
    assert (view - x).abs().mean() > 0.05
    still = PictureView(-1.0, 1.0, crop=1.0, jitter=0.0, desaturate=0.0)(x, generator())
    torch.testing.assert_close(still, x, atol=1e-5, rtol=0)


def test_noise_is_in_units_of_each_feature():
    spread = torch.tensor([1.0, 10.0, 0.0])
    noisy = noise_features(torch.zeros(4000, 3), spread, 0.3, generator())
    torch.testing.assert_close(noisy.std(0), 0.3 * spread, rtol=0.05, atol=1e-9)


def test_a_feature_is_dropped_to_its_mean_and_none_is_biased():
    mean, x = torch.tensor([5.0, -1.0]), torch.tensor([[7.0, 1.0]]).expand(8000, 2)
    view = drop_features(x, mean, 0.25, generator())
    kept = mean + (x[0] - mean) / 0.75  # by hand: 5 + 2 / .75, -1 + 2 / .75
    assert ((view - mean).abs() < 1e-5).logical_or((view - kept).abs() < 1e-5).all()
    torch.testing.assert_close(view.mean(0), x[0], rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    ("view", "shape"),
    [
        (DrawingView(), (6, 1, 28, 28)),
        (PictureView(), (6, 3, 20, 30)),
        (VectorView(torch.zeros(40), torch.ones(40)), (6, 40)),
    ],
)
def test_every_view_keeps_the_shape_and_repeats_with_the_generator(view, shape):
    x = torch.rand(shape, generator=generator(4))
    assert view(x, generator(1)).shape == shape
    assert torch.equal(view(x, generator(1)), view(x, generator(1)))
    assert not torch.equal(view(x, generator(1)), view(x, generator(2)))


def test_other_colours_keep_a_drawing_s_shape():
    x = torch.tensor([[0.0, 1.0, 1.0], [0.2, 0.2, 0.9], [0.5, 0.6, 0.5]]).view(1, 3, 1, 3).expand(500, -1, -1, -1)
    assert torch.equal(recolour(x, 0.0, 0.0, 1.0, generator()), x)
    seen = {
        tuple(tuple(round(v, 2) for v in c) for c in one[:, 0].tolist()) for one in recolour(x, 1.0, 0, 1, generator())
    }
    assert len(seen) == 6 * 8  # orders and signs
    alike = {frozenset(min(c, tuple(round(1 - v, 2) for v in c)) for c in one) for one in seen}
    assert alike == {frozenset({(0.0, 1.0, 1.0), (0.2, 0.2, 0.9), (0.5, 0.4, 0.5)})}
    half = recolour(x, 0.5, 0.0, 1.0, generator())
    assert 0.4 < (half == x).flatten(1).all(1).float().mean() < 0.6
