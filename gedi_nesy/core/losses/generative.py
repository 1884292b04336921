"""L_GEN: the data should have low energy, the model's own samples high energy (paper, Section 3, L_GEN)."""

from torch import Tensor

from gedi_nesy.core.energy import energy


def generative_loss(data_logits: Tensor, sample_logits: Tensor) -> Tensor:
    """Difference of mean energies, which has the gradient of the negative log-likelihood -E[log p(x)].

    The samples come from SGLD chains and are constants: no gradient flows into the chain that made them.

    Args:
        data_logits: f(x) of the data, shape [..., batch, classes].
        sample_logits: f(x) of the model's samples, shape [..., samples, classes].

    Returns:
        Shape [...], in nats. The value says how far data and samples are apart in energy (0 when the sampler has
        converged); it is not the likelihood itself, so it has no known optimum.
    """
    return energy(data_logits).mean(-1) - energy(sample_logits).mean(-1)
