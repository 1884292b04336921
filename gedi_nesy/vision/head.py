"""A cluster head for embeddings that were trained without one, as those of Barlow Twins."""

import torch
from sklearn.cluster import KMeans

from gedi_nesy.vision.network import Networks, StackedLinear
from gedi_nesy.vision.views import Inputs


@torch.no_grad()
def fit_heads(networks: Networks, inputs: Inputs) -> None:
    """Set each linear head so that a point's most probable cluster is that of k-means on the embeddings.

    Embeddings count in units of their deviation, as in the loss that they were trained with. The logit of a cluster is
    then 2 c.z - |c|^2, c its centre and z the embedding: largest where c is nearest.
    """
    assert isinstance(networks.head, StackedLinear)
    clusters = networks.head.weight.shape[-1]
    everything = torch.arange(inputs.x.shape[1], device=inputs.x.device).expand(networks.count, -1)
    for k, embeddings in enumerate(networks.embed(inputs.points(everything))):
        mean, spread = embeddings.mean(0), embeddings.std(0).clamp_min(1e-6)
        found = KMeans(clusters, n_init=10, random_state=0).fit(((embeddings - mean) / spread).cpu().numpy())
        centres = torch.from_numpy(found.cluster_centers_).to(embeddings)  # [clusters, dim]
        weight = 2 * centres / spread
        networks.head.weight[k] = weight.T
        networks.head.bias[k] = -centres.square().sum(-1) - weight @ mean
