"""The paper's Lemmas 1-3, -log p(x) <= L_GEN + L_DISC, on spaces small enough to sum over.

L_GEN is the exact -log p(x) here, with the normaliser as a sum over the whole space; training takes the loss with the
same gradient, a difference of energies (test_losses.py). Each test derives in its docstring the inequality that it
checks, in the notation of the code: the derivations are ours and may take another way than the paper's.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from torch.distributions import MultivariateNormal, kl_divergence

from gedi_nesy.core.energy import energy
from gedi_nesy.core.losses import (
    anchor_logits,
    barlow_loss,
    corinfomax_loss,
    ebclr_loss,
    info_nce_loss,
    invariance_loss,
    prior_loss,
    protocpc_loss,
    sinkhorn,
    swav_loss,
    vicreg_loss,
    whiten,
    wmse_loss,
)
from gedi_nesy.core.losses.ebclr import negative_squared_distances
from gedi_nesy.core.losses.info_nce import cosines
from gedi_nesy.core.objective import uniform_log_prior

seeds = st.integers(0, 10**6)
few = settings(max_examples=25, deadline=None, derandomize=True)
close = torch.testing.assert_close


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def relative_entropies(p, q):
    """The terms p log(p / q) of KL(p || q)."""
    return torch.special.xlogy(p, p) - torch.special.xlogy(p, q)


# Lemma 1: InfoNCE, EBCLR, ProtoCPC


def test_eq_2_is_the_energy_of_the_joint_of_inputs_and_anchors():
    """p(x, a) = exp(s(x, a)) / sum_{x, a} exp(s) has the marginal exp(-E(x)) / Z, E(x) = -log sum_a exp(s(x, a))."""
    logits = anchor_logits(normal(8, 3), normal(5, 3, seed=1))
    joint = logits.flatten().softmax(0).view(8, 5)
    close((-energy(logits)).softmax(0), joint.sum(1))


@few
@given(seeds)
@pytest.mark.parametrize(("loss", "similarity"), [(info_nce_loss, cosines), (ebclr_loss, negative_squared_distances)])
def test_lemma_1_info_nce_is_what_the_joint_with_the_anchor_adds(loss, similarity, seed):
    """-log p(x) <= -log p(x, a) = L_GEN + L_DISC with L_DISC = -log p(a | x), InfoNCE's softmax; tight where it is 0.

    The anchors of an embedding are all others of the batch and the views, its partner is the a that goes with it. The
    space is the batch and ten points more.
    """
    first, second = normal(4, 3, seed=seed), normal(4, 3, seed=seed + 1)
    batch = torch.cat([first, second])
    space = torch.cat([batch, normal(10, 3, seed=seed + 2)])
    joint_terms, l_gen = [], []
    for i in range(8):
        anchors = batch[[j for j in range(8) if j != i]]
        joint = (similarity(space, anchors) / 0.5).flatten().log_softmax(0).view(18, 7)
        partner = ((i + 4) % 8) - ((i + 4) % 8 > i)  # its place among the anchors
        joint_terms.append(-joint[i, partner])
        l_gen.append(-joint[i].logsumexp(0))  # -log p(x)
    l_gen, l_disc = torch.stack(l_gen).mean(), loss(first, second, 0.5)
    close(l_gen + l_disc, torch.stack(joint_terms).mean())
    assert l_gen <= l_gen + l_disc


def test_lemma_1_is_tight_where_equal_views_are_far_from_other_images():
    images = normal(4, 3)
    gaps = [ebclr_loss(scale * images, scale * images).item() for scale in (0.1, 1, 10)]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] == pytest.approx(0, abs=1e-12)


def codes_and_critics(scores, view_scores, teacher_temperature):
    """Both directions: codes [batch, c], the student's logits s [batch, c], the critic q_j . s_i [batch, batch]."""
    for student, teacher in ((scores, view_scores), (view_scores, scores)):
        codes = (teacher / teacher_temperature).softmax(-1)
        yield codes, student / 0.1, (student / 0.1) @ codes.T


@few
@given(seeds, st.floats(0.02, 1))
def test_lemma_1_proto_cpc_is_above_info_nce_with_its_critic(seed, teacher_temperature):
    """0 <= InfoNCE <= ProtoCPC + ln(batch / c), where InfoNCE = -log softmax_j(q_j . s_i) at j = i, as Lemma 1 needs.

    exp is convex and q_j a distribution: exp(q_j . s) <= sum_k q_jk exp(s_k); summed over the batch, with m its mean
    code: sum_j exp(q_j . s) <= batch * sum_k m_k exp(s_k).
    """
    scores, view_scores = normal(6, 4, seed=seed).tanh(), normal(6, 4, seed=seed + 1).tanh()
    critics = [critic for *_, critic in codes_and_critics(scores, view_scores, teacher_temperature)]
    info_nce = sum(-critic.log_softmax(1).diagonal().mean() for critic in critics) / 2
    proto_cpc = protocpc_loss(scores, view_scores, teacher_temperature=teacher_temperature)
    assert 0 <= info_nce <= proto_cpc + math.log(6 / 4) + 1e-9


def test_lemma_1_proto_cpc_is_info_nce_where_codes_are_certain():
    scores, view_scores = normal(6, 4).tanh(), normal(6, 4, seed=1).tanh()
    critics = [critic for *_, critic in codes_and_critics(scores, view_scores, 1e-4)]
    info_nce = sum(-critic.log_softmax(1).diagonal().mean() for critic in critics) / 2
    close(protocpc_loss(scores, view_scores, teacher_temperature=1e-4) + math.log(6 / 4), info_nce)


@few
@given(seeds, st.floats(0.02, 1))
def test_proto_cpc_is_never_below_what_codes_lack_in_information(seed, teacher_temperature):
    """q.s - log sum_k m_k exp(s_k) <= KL(q || m) for every s (Donsker and Varadhan), and the mean KL is I(image; code).

    So ProtoCPC >= ln c - I >= 0, and -log p(x) <= L_GEN + ProtoCPC as it is.
    """
    scores, view_scores = normal(6, 4, seed=seed).tanh(), normal(6, 4, seed=seed + 1).tanh()
    information = 0.0
    for codes, *_ in codes_and_critics(scores, view_scores, teacher_temperature):
        information += relative_entropies(codes, codes.mean(0)).sum(1).mean() / 2
    loss = protocpc_loss(scores, view_scores, teacher_temperature=teacher_temperature)
    assert loss >= math.log(4) - information - 1e-9
    assert math.log(4) - information >= -1e-9


# Appendices E-G: the bounds on mutual information, and so on E[log p(x | y)], that lead to InfoNCE (Poole et al. 2019)


class Pair:
    """A random joint p(x, y) of four and three values, and critics f [4, 3]."""

    def __init__(self, seed: int) -> None:
        self.joint = normal(12, seed=seed).softmax(0).view(4, 3)
        self.x, self.y = self.joint.sum(1), self.joint.sum(0)
        self.ratio = (self.joint / (self.x[:, None] * self.y)).log()  # log p(x | y) / p(x)
        self.information = (self.joint * self.ratio).sum()

    def normaliser(self, critic):
        """Z(y) = E_p(x) exp f(x, y), [3]."""
        return (self.x[:, None] * critic.exp()).sum(0)

    def uba(self, critic):
        """E f - E log Z(y): Barber and Agakov's bound with q(x | y) = p(x) exp(f) / Z(y)."""
        return (self.joint * critic).sum() - (self.y * self.normaliser(critic).log()).sum()

    def tuba(self, critic, baseline):
        """E f - E [Z(y) / a(y) + log a(y) - 1], for any a > 0."""
        penalty = self.normaliser(critic) / baseline + baseline.log() - 1
        return (self.joint * critic).sum() - (self.y * penalty).sum()

    def nwj(self, critic):
        """E f - E Z(y) / e."""
        return (self.joint * critic).sum() - (self.y * self.normaliser(critic)).sum() / math.e

    def companions(self, count):
        """All draws x_2..x_K of p(x), with their probabilities."""
        draws = torch.cartesian_prod(*[torch.arange(4)] * count).view(-1, count)
        return zip(draws, self.x[draws].prod(1), strict=True)

    def info_nce(self, critic, count):
        """E log exp f(x_1, y) / mean_k exp f(x_k, y), with x_1, y of the joint and count - 1 companions of p(x)."""
        total = torch.zeros((), dtype=torch.float64)
        for draw, probability in self.companions(count - 1):
            mean = (critic.exp() + critic[draw].exp().sum(0)) / count  # [4, 3], by the value of x_1
            total += probability * (self.joint * (critic - mean.log())).sum()
        return total


@few
@given(seeds)
def test_uba_is_above_tuba_and_tuba_with_baseline_e_is_nwj(seed):
    """I >= UBA, as I - UBA = E KL(p(x | y) || q(x | y)); UBA >= TUBA, as log Z <= Z / a + log a - 1, tight at a = Z."""
    pair, critic, baseline = Pair(seed), normal(4, 3, seed=seed + 1), normal(3, seed=seed + 2).exp()
    assert pair.information + 1e-9 >= pair.uba(critic) >= pair.tuba(critic, baseline) - 1e-9
    close(pair.tuba(critic, pair.normaliser(critic)), pair.uba(critic))
    close(pair.tuba(critic, torch.full((3,), math.e).double()), pair.nwj(critic))
    # the best baseline makes TUBA as good as UBA, so it is never below NWJ, whose baseline is given
    assert pair.tuba(critic, pair.normaliser(critic)) >= pair.nwj(critic) - 1e-9


@few
@given(seeds)
def test_the_best_critics_attain_the_information(seed):
    """f = log p(x | y) / p(x) + b(y) for UBA and TUBA with a = exp b, with b = 1 for NWJ."""
    pair, shift = Pair(seed), normal(3, seed=seed + 1)
    close(pair.uba(pair.ratio + shift), pair.information)
    close(pair.tuba(pair.ratio + shift, shift.exp()), pair.information)
    close(pair.nwj(pair.ratio + 1), pair.information)


@few
@given(seeds)
def test_info_nce_is_nwj_with_the_companions_mean_as_its_baseline(seed):
    """h(x, y) = 1 + f(x, y) - log mean_k exp f(x_k, y), x_1 = x: its NWJ, in the mean over companions, is InfoNCE.

    By symmetry E exp f(x_1, y) / mean_k exp f(x_k, y) = 1 for x_1..x_K of p(x). So I >= NWJ >= InfoNCE for any f.
    """
    pair, critic, total = Pair(seed), normal(4, 3, seed=seed + 1), 0.0
    for draw, probability in pair.companions(2):
        mean = (critic.exp() + critic[draw].exp().sum(0)) / 3
        value = pair.nwj(1 + critic - mean.log())
        assert value <= pair.information + 1e-9
        total += probability * value
    close(pair.info_nce(critic, 3), total)
    assert pair.info_nce(critic, 3) <= min(pair.information, math.log(3)) + 1e-9


def test_info_nce_nears_the_information_as_companions_are_added():
    """With the best critic; x has two values, so that companions are summed over by how many have which."""
    joint = torch.tensor([[0.4, 0.1], [0.1, 0.4]]).double()
    ratio = (joint / 0.25).log()
    information = (joint * ratio).sum().item()
    bounds = []
    for count in (1, 2, 10, 1000):
        ones = torch.arange(count)  # how many of the count - 1 companions have the value 1
        weights = torch.from_numpy(binom.pmf(ones.numpy(), count - 1, 0.5))
        companions = (count - 1 - ones)[:, None] * ratio[0].exp() + ones[:, None] * ratio[1].exp()  # [count, y]
        means = (companions[:, None] + ratio.exp()) / count  # [count, x_1, y]
        bounds.append((weights[:, None, None] * joint * (ratio - means.log())).sum().item())
    assert bounds[0] == pytest.approx(0.0)
    assert sorted(bounds) == bounds
    assert bounds[-1] == pytest.approx(information, abs=1e-3)
    assert bounds[-1] < information


# Lemma 2: CorInfoMax; VICReg, W-MSE and Barlow Twins as its instances


def divergence_from_white(matrix):
    """KL(N(0, matrix) || N(0, I))."""
    zero = torch.zeros(len(matrix)).double()
    return kl_divergence(MultivariateNormal(zero, matrix), MultivariateNormal(zero, torch.eye(len(matrix)).double()))


@few
@given(seeds)
def test_lemma_2_cor_info_max_adds_the_divergence_of_latents_of_the_batchs_covariance(seed):
    """-log p(X) <= L_GEN + KL(q(w | X) || p(w)), the ELBO of p(X, w) = p(X) p(w) with p(w) = N(0, I).

    Take q(w | X) = N(0, S), S = dim * R of embeddings of unit length, one w for each view. As the trace of S is
    dim (1 - |mean|^2), CorInfoMax is, with the attraction of a Gaussian p(z' | z) beside it,
    2 ln dim + 2 / dim (KL + KL') + |mean|^2 + |mean'|^2 + attraction * mean squared difference.
    """
    first, second = (torch.nn.functional.normalize(normal(12, 3, seed=seed + k), dim=1) for k in (0, 1))
    excess = corinfomax_loss(first, second, attraction=5.0, epsilon=0.0) - 2 * math.log(3)
    divergence = sum(divergence_from_white(3 * torch.cov(z.T, correction=0)) for z in (first, second))
    means = sum(z.mean(0).square().sum() for z in (first, second))
    close(excess, 2 / 3 * divergence + means + 5.0 * (first - second).square().mean())
    assert excess >= 2 / 3 * divergence >= 0  # so L_GEN + dim / 2 * excess is an upper bound, too


def test_lemma_2_is_tight_where_equal_views_are_white():
    white = torch.cat([torch.eye(3), -torch.eye(3)]).double()  # mean 0, R = I / 3
    assert corinfomax_loss(white, white).item() - 2 * math.log(3) == pytest.approx(0, abs=1e-6)


def test_w_mse_removes_the_divergence_and_keeps_the_attraction():
    first, second = normal(20, 3) @ normal(3, 3, seed=1), normal(20, 3, seed=2)
    whitened = [whiten(z) for z in (first, second)]
    for z in whitened:
        assert divergence_from_white(torch.cov(z.T)).item() == pytest.approx(0, abs=1e-6)
    units = [torch.nn.functional.normalize(z, dim=1) for z in whitened]
    close(wmse_loss(first, second), (units[0] - units[1]).square().sum(1).mean())


@pytest.mark.parametrize(
    ("loss", "factor"),
    [
        (lambda z: barlow_loss(z, z, redundancy=1.0), 4),  # |C - I|^2
        (lambda z: vicreg_loss(z, z), 8 / 3),  # 2 |C - I|^2 / dim
    ],
    ids=["barlow", "vicreg"],
)
def test_barlow_twins_and_vicreg_are_the_divergence_to_second_order(loss, factor):
    """KL(N(0, C) || N(0, I)) = |C - I|^2 / 4 + O(|C - I|^3) where the variances are 1; both are 0 where C = I alone."""
    white = whiten(normal(40, 3))
    direction = torch.tensor([[0.0, 1.0, -0.5], [1.0, 0.0, 0.7], [-0.5, 0.7, 0.0]]).double()
    ratios = []
    for size in (0.4, 0.1, 0.01):
        matrix = torch.eye(3) + size * direction
        correlated = white @ torch.linalg.cholesky(matrix).T  # of exactly this covariance
        ratios.append((loss(correlated) / divergence_from_white(matrix)).item() / factor)
    assert abs(ratios[0] - 1) > abs(ratios[1] - 1) > abs(ratios[2] - 1)
    assert ratios[2] == pytest.approx(1, abs=0.03)


# Lemma 3: SwAV and GEDI's own


class Model:
    """p(x, y) = exp(f(x)_y) / Z on twelve points, of which four are images, the next four their views."""

    def __init__(self, logits) -> None:
        self.logits, self.log_joint = logits, logits.flatten().log_softmax(0).view_as(logits)
        self.log_probs = logits.log_softmax(1)  # p(y | x)
        self.nll = -self.log_joint.logsumexp(1)  # -log p(x), [12]


@few
@given(seeds)
def test_lemma_3_any_assignment_bounds_the_likelihood(seed):
    """-log p(x) <= E_q[log q(y) - log p(x, y)] <= E_q[-log p(x, y)] = L_GEN + CE(q, p(y | x)).

    The first gap is KL(q || p(y | x)), the second is the entropy of q.
    """
    model, codes = Model(normal(12, 3, seed=seed)), normal(12, 3, seed=seed + 1).softmax(1)
    without_entropy = -(codes * model.log_joint).sum(1)
    free_energy = without_entropy - torch.special.entr(codes).sum(1)
    close(without_entropy, model.nll - (codes * model.log_probs).sum(1))
    close(free_energy - model.nll, relative_entropies(codes, model.log_probs.exp()).sum(1))
    assert (model.nll <= free_energy + 1e-9).all()
    assert (free_energy <= without_entropy + 1e-9).all()


@few
@given(seeds)
def test_lemma_3_swav_is_that_bound_with_balanced_codes(seed):
    """The mean over images and views of E_q[-log p(x, y)], q the code of the other view, is L_GEN + SwAV."""
    scores = normal(12, 3, seed=seed).tanh()
    model = Model(scores / 0.1)
    codes = torch.cat([sinkhorn(scores[4:8]), sinkhorn(scores[:4])])
    bound = -(codes * model.log_joint[:8]).sum(1).mean()
    close(model.nll[:8].mean() + swav_loss(scores[:4], scores[4:8]), bound)
    assert model.nll[:8].mean() <= bound


@few
@given(seeds)
def test_lemma_3_gedi_is_that_bound_with_the_views_prediction_beside_the_prior(seed):
    """With q = p(y | x'), and CE(prior, mean prediction) >= H(prior): E[-log p(x)] + H <= L_GEN + L_INV + L_PRIOR.

    The gap is D, the certificate: H(p(. | x')) + KL(p(. | x') || p(. | x)) + KL(prior || mean prediction).
    """
    model, prior = Model(2 * normal(12, 3, seed=seed)), uniform_log_prior(3).double()
    views, images = model.log_probs[4:8], model.log_probs[:4]
    bound = model.nll[:4].mean() + invariance_loss(views, images) + prior_loss(images, prior)
    inconsistency = relative_entropies(views.exp(), images.exp()).sum(1).mean()
    imbalance = relative_entropies(prior.exp(), images.exp().mean(0)).sum()
    certificate = torch.special.entr(views.exp()).sum(1).mean() + inconsistency + imbalance
    close(bound - model.nll[:4].mean() - math.log(3), certificate)
    assert certificate >= 0


@pytest.mark.parametrize("certain", [True, False])
def test_lemma_3_is_tight_where_equal_predictions_are_certain_and_balanced(certain):
    cosines_of_prototypes = 2 * torch.eye(4)[[0, 1, 2, 3, 0, 1, 2, 3, 0, 0, 0, 0]].double() - 1
    scores = cosines_of_prototypes if certain else 0.05 * cosines_of_prototypes
    model = Model(scores / 0.1)
    views, images = model.log_probs[4:8], model.log_probs[:4]
    gedi = invariance_loss(views, images) + prior_loss(images, uniform_log_prior(4).double()) - math.log(4)
    for gap in (swav_loss(scores[:4], scores[4:8]), gedi):
        assert (gap.item() < 1e-6) == certain
