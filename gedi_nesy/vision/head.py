"""A cluster head for embeddings that were trained without one, as Barlow Twins trains them."""

import torch
from sklearn.cluster import KMeans
from torch import Tensor
from torch.nn import functional

from gedi_nesy.core.modes import evaluating
from gedi_nesy.vision.networks import AnyNetworks, in_parts
from gedi_nesy.vision.views import AnyInputs


@torch.no_grad()
def fit_heads(networks: AnyNetworks, inputs: AnyInputs, clusters: int) -> None:
    """Set each head so that a point's most probable cluster is its cluster by k-means on the embeddings.

    For a linear head embeddings count in units of their deviation, as in the loss of Barlow Twins. The logit of a
    cluster is then 2 c.z - |c|^2, c its centre and z the embedding: largest where c is nearest. For a head of
    prototypes, whose energies are bounded, embeddings have unit length and the centres are the prototypes.
    """

    def embed(rows: Tensor) -> Tensor:
        return networks.project(networks.encode(inputs.points(rows)))

    everything = torch.arange(inputs.count, device=inputs.x.device).expand(networks.count, -1)
    with evaluating(networks):
        embedded = in_parts(embed, everything, inputs.part)
    for k, embeddings in enumerate(embedded):
        if networks.has_prototypes:
            networks.set_prototypes(k, _centres(functional.normalize(embeddings, dim=-1), clusters))
            continue
        mean, spread = embeddings.mean(0), embeddings.std(0).clamp_min(1e-6)
        centres = _centres((embeddings - mean) / spread, clusters)
        weight = 2 * centres / spread
        networks.set_linear_head(k, weight, -centres.square().sum(-1) - weight @ mean)


def _centres(x: Tensor, clusters: int) -> Tensor:
    """The centres of k-means, [clusters, dim]."""
    means = KMeans(clusters, n_init=10, random_state=0).fit(x.cpu().numpy())
    return torch.from_numpy(means.cluster_centers_).to(x)
