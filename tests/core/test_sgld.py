"""The sampler by hand and by its stationary law; the replay buffer by its properties."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gedi_nesy.core.energy import ood_score
from gedi_nesy.core.sgld import SGLD, ReplayBuffer, start_noise
from gedi_nesy.errors import UserError


class Gaussian(nn.Module):
    """One logit -precision x^2 / 2, so p(x) is normal with variance 1 / precision."""

    def __init__(self, precision=1.0):
        super().__init__()
        self.precision = nn.Parameter(torch.tensor(precision))

    def forward(self, x):
        return -self.precision * x.square() / 2


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def buffer(capacity=50, reinit=0.0, seed=0, shape=(2,)):
    return ReplayBuffer(capacity, shape, -1.0, 1.0, reinit, generator(seed), torch.device("cpu"))


def test_two_steps_by_hand():
    # x <- x + .5 * (-x), twice
    end = SGLD(steps=2, step_size=0.5, noise=0.0)(Gaussian(), torch.tensor([[8.0]]), generator())
    assert end.item() == 8.0 * 0.5 * 0.5


def test_the_noise_is_the_generators():
    noise = torch.randn((3, 1), generator=generator(5))
    end = SGLD(steps=1, step_size=1.0, noise=0.1)(Gaussian(), torch.ones(3, 1), generator(5))
    torch.testing.assert_close(end, 1 - 1 + 0.1 * noise)


def test_stationary_variance_of_a_quadratic_energy():
    # x <- (1 - step) x + noise * e has the variance noise^2 / (1 - (1 - step)^2) = .04 / .1 = .4 here.
    step, noise = 1 - math.sqrt(0.9), 0.2
    end = SGLD(steps=200, step_size=step, noise=noise)(Gaussian(), torch.zeros(20_000, 1), generator())
    assert end.mean().item() == pytest.approx(0, abs=0.02)
    assert end.var().item() == pytest.approx(0.4, rel=0.04)


def test_clamp_holds_after_every_step():
    # Unclamped, two steps of size 2 from 1.5 give 1.5 -> -1.5 -> 1.5; clamped, 1.5 -> -1 -> 1.
    start, settings = torch.tensor([[1.5]]), {"steps": 2, "step_size": 2.0, "noise": 0.0}
    assert SGLD(**settings)(Gaussian(), start, generator()).item() == 1.5
    assert SGLD(**settings, clamp=(-1.0, 1.0))(Gaussian(), start, generator()).item() == 1.0


def test_another_thread_can_train_the_model_meanwhile():
    needed = []
    model = Gaussian()
    model.register_forward_hook(lambda *_: needed.append(model.precision.requires_grad))
    SGLD(steps=3)(model, torch.ones(2, 1), generator())
    ood_score(model, torch.ones(2, 1))
    assert needed == [True] * 4


def test_parameters_and_start_are_left_alone():
    model, start = Gaussian(), torch.ones(2, 1)
    end = SGLD(steps=3)(model, start, generator())
    assert model.precision.grad is None
    assert model.precision.requires_grad
    assert not end.requires_grad
    assert start.tolist() == [[1.0], [1.0]]


def test_an_explosion_is_an_error_even_if_clamped():
    with pytest.raises(FloatingPointError, match="within 200 steps of size 10"):
        SGLD(steps=200, step_size=10.0)(Gaussian(), torch.ones(1, 1), generator())
    with pytest.raises(FloatingPointError):
        SGLD(steps=1, clamp=(-1.0, 1.0))(Gaussian(math.nan), torch.ones(1, 1), generator())


@pytest.mark.parametrize(
    "settings", [{"steps": 0}, {"step_size": 0.0}, {"step_size": math.nan}, {"noise": -1.0}, {"clamp": (1.0, 1.0)}]
)
def test_settings_out_of_range(settings):
    with pytest.raises(UserError, match=str(next(iter(settings)))[:5]):
        SGLD(**settings)


def test_buffer_starts_uniform():
    samples = buffer(capacity=10_000).samples
    assert samples.min() >= -1
    assert samples.max() <= 1
    assert samples.var().item() == pytest.approx(2**2 / 12, rel=0.03)


@given(n=st.integers(1, 50), seed=st.integers(0, 1000))
def test_drawn_chains_are_distinct_and_come_back_to_their_places(n, seed):
    chains = buffer(reinit=0.0)
    before = chains.samples.clone()
    indices, samples = chains.draw(n, generator(seed))
    assert len(set(indices.tolist())) == n
    assert torch.equal(samples, before[indices])
    chains.store(indices, samples + 10)
    untouched = torch.ones(50, dtype=torch.bool).index_fill(0, indices, False)
    assert torch.equal(chains.samples[indices], before[indices] + 10)
    assert torch.equal(chains.samples[untouched], before[untouched])


def test_chains_restart_with_probability_reinit():
    chains = buffer(capacity=4000, reinit=0.25)
    chains.samples.fill_(7.0)
    _, samples = chains.draw(4000, generator())
    restarted = (samples != 7).all(1)
    assert restarted.float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert (samples[~restarted] == 7).all()
    assert samples[restarted].abs().max() <= 1
    assert (chains.samples == 7).all()  # a draw changes nothing; only store does


@given(reinit=st.sampled_from([0.0, 0.5, 1.0]))
def test_a_draw_uses_the_same_randomness_whatever_restarts(reinit):
    drawn, reference = generator(3), generator(3)
    buffer(reinit=reinit).draw(5, drawn)
    buffer(reinit=0.1).draw(5, reference)
    assert torch.equal(drawn.get_state(), reference.get_state())


def test_a_restored_buffer_goes_on_bit_identically():
    def advance(chains, source):
        for _ in range(3):
            indices, x = chains.draw(10, source)
            chains.store(indices, SGLD(steps=2)(Gaussian(), x, source))

    whole, source = buffer(reinit=0.3, shape=(1,)), generator(1)
    advance(whole, source)
    saved, position = {k: v.clone() for k, v in whole.state_dict().items()}, source.get_state()
    advance(whole, source)
    restored, other = buffer(reinit=0.3, shape=(1,), seed=9), generator(2)
    restored.load_state_dict(saved)
    other.set_state(position)
    advance(restored, other)
    assert torch.equal(restored.samples, whole.samples)


def test_chains_kept_as_bytes_come_back_within_half_a_step():
    chains = ReplayBuffer(40, (3, 4), -2.0, 3.0, 0.0, generator(), torch.device("cpu"), as_bytes=True)
    assert chains.samples.dtype == torch.uint8
    x = torch.rand(40, 3, 4, generator=generator(1)) * 5 - 2
    x[0, 0, :2] = torch.tensor([-2.0, 3.0])
    chains.store(torch.arange(40), x)
    indices, drawn = chains.draw(40, generator(2))
    assert (drawn - x[indices]).abs().max() <= 2.5 / 255 + 1e-6
    assert (drawn.min().item(), drawn.max().item()) == pytest.approx((-2.0, 3.0))
    chains.store(indices, drawn)
    again = chains.draw(40, generator(2))[1]
    assert torch.equal(again, drawn)  # what lies here is not rounded twice


def test_a_buffer_of_another_shape_is_refused():
    with pytest.raises(UserError, match=r"shape \[50, 2\] and this one \[60, 2\]"):
        buffer(60).load_state_dict(buffer(50).state_dict())


def test_drawing_too_many_chains():
    with pytest.raises(UserError, match="51 chains from a replay buffer of 50"):
        buffer(50).draw(51, generator())


@pytest.mark.parametrize(("capacity", "low", "reinit"), [(0, -1.0, 0.1), (5, 1.0, 0.1), (5, -1.0, 1.5)])
def test_buffer_settings_out_of_range(capacity, low, reinit):
    with pytest.raises(UserError):
        ReplayBuffer(capacity, (2,), low, 1.0, reinit, generator(), torch.device("cpu"))


def test_chains_begin_in_noise_that_is_drawn_towards_a_ground_by_any_share():
    ground = torch.tensor([-1.0, 0.5]).view(2, 1, 1)
    starts = start_noise((400, 2, 6, 6), (-1.0, 1.0), generator(), ground)
    assert -1 <= starts.min() < starts.max() <= 1
    away = (starts - ground).abs().amax((1, 2, 3))  # 1.5 to 2 times the share
    assert (away < 0.4).float().mean() == pytest.approx(0.2, abs=0.06)
    full = start_noise((400, 2, 6, 6), (-1.0, 1.0), generator())
    assert (full - ground).abs().amax((1, 2, 3)).min() > 1.3
    torch.testing.assert_close(full, torch.empty(400, 2, 6, 6).uniform_(-1, 1, generator=generator()))
    buffer = ReplayBuffer(400, (2, 6, 6), -1.0, 1.0, 1.0, generator(), torch.device("cpu"), ground=ground)
    _, drawn = buffer.draw(300, generator(1))
    assert (drawn - ground).abs().amax((1, 2, 3)).min() < 0.1  # those that begin anew, too
