"""How close samples are to real images in the space of some features: distances, precision and recall.

The name of a distance depends on the features; `vision.extractor` knows it.
"""

from typing import Any

from torch import Tensor

from gedi_nesy.errors import UserError
from gedi_nesy.extras import load_extra

NEIGHBOURS = 3  # neighbours that span a manifold, as in Kynkäänniemi et al. 2019
SUBSETS, SUBSET = 100, 1000  # of a kernel distance, as in Bińkowski et al. 2018


def torch_fidelity(module: str) -> Any:
    """A module of torch-fidelity, which an extra brings.

    Raises:
        UserError: it is not installed.
    """
    return load_extra(f"torch_fidelity.{module}", "fidelity", "Measuring how close samples are to images")


def frechet_distance(real: Tensor, samples: Tensor) -> float:
    """Fréchet distance of two Gaussians with the means and covariances of features (Heusel et al. 2017).

    Few samples raise it: compare only distances of equally many.

    Args:
        real: features of real images, [n, d].
        samples: features of samples, [m, d].

    Raises:
        UserError: there are less than two of a kind, or torch-fidelity is not installed.
    """
    fid = torch_fidelity("metric_fid")
    _need(2, real, samples)
    statistics = [fid.fid_features_to_statistics(features.double().cpu()) for features in (samples, real)]
    return float(fid.fid_statistics_to_metric(*statistics, verbose=False)[fid.KEY_METRIC_FID])


def kernel_distance(real: Tensor, samples: Tensor) -> float:
    """Squared maximum mean discrepancy with a cubic kernel, unbiased, the mean over random subsets (Bińkowski et al.).

    Args:
        real: features of real images, [n, d].
        samples: features of samples, [m, d].

    Raises:
        UserError: there are less than two of a kind, or torch-fidelity is not installed.
    """
    kid = torch_fidelity("metric_kid")
    _need(2, real, samples)
    size = min(SUBSET, len(real), len(samples))
    figures = kid.kid_features_to_metric(
        samples.double(), real.double(), kid_subsets=SUBSETS, kid_subset_size=size, verbose=False
    )
    return float(figures[kid.KEY_METRIC_KID_MEAN])


def precision_recall(real: Tensor, samples: Tensor, neighbours: int = NEIGHBOURS) -> tuple[float, float]:
    """Share of samples on the manifold of real images, and of real images on the samples' (Kynkäänniemi et al.).

    The manifold of some features is the union of balls around each that reach to its k-th nearest neighbour.

    Args:
        real: features of real images, [n, d].
        samples: features of samples, [m, d]; recall grows with their number, so take about n.
        neighbours: k.

    Raises:
        UserError: there are not more than k of a kind, or torch-fidelity is not installed.
    """
    prc = torch_fidelity("metric_prc")
    _need(neighbours + 1, real, samples)
    figures = prc.prc_features_to_metric(
        samples.double(), real.double(), prc_neighborhood=neighbours, save_cpu_ram=True, verbose=False
    )
    return float(figures[prc.KEY_METRIC_PRECISION]), float(figures[prc.KEY_METRIC_RECALL])


def _need(least: int, real: Tensor, samples: Tensor) -> None:
    for kind, features in (("samples", samples), ("real images", real)):
        if len(features) < least:
            raise UserError(f"This measure of samples needs {least} {kind} or more, not {len(features)}.")
