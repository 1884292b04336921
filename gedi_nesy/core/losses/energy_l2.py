"""An L2 penalty on energies, which keeps an energy model from drifting away (Du & Mordatch 2019, Section 3.2)."""

from torch import Tensor

from gedi_nesy.core.energy import energy


def energy_l2_loss(data_logits: Tensor, sample_logits: Tensor) -> Tensor:
    """Mean squared energy of the data plus that of the samples; L_GEN alone fixes energies up to a constant only.

    Args:
        data_logits: f(x) of the data, shape [..., batch, classes].
        sample_logits: f(x) of the model's samples, shape [..., samples, classes].

    Returns:
        Shape [...], in nats squared, never below 0.
    """
    return energy(data_logits).square().mean(-1) + energy(sample_logits).square().mean(-1)
