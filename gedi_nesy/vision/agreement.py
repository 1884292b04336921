"""Agreement of clusters with labels, as it should be measured and as the paper seems to have it on images."""

from torch import Tensor

from gedi_nesy.core.metrics import batch_nmi, chance_batch_nmi, score

PAPERS_BATCH = 64  # over which the paper's NMI of images seems to be averaged


def score_clusters(predictions: Tensor, labels: Tensor, classes: int, *, in_batches: bool = False) -> dict[str, float]:
    """Agreement of clusters and labels, int64 [n] both.

    Returns:
        `nmi`, `ami`, `cluster_accuracy` (Hungarian); `in_batches`, and where there are enough of them, `nmi_batch64`,
        the mean over batches of 64, beside which `nmi_batch64_chance` is what it gives the same clusters dealt out at
        random.
    """
    found = score(predictions, labels, classes)
    figures = {"nmi": found.nmi, "ami": found.ami, "cluster_accuracy": found.cluster_accuracy}
    if in_batches and len(labels) >= PAPERS_BATCH:
        predictions, labels = predictions.cpu(), labels.cpu()
        figures["nmi_batch64"] = batch_nmi(predictions, labels, PAPERS_BATCH)
        figures["nmi_batch64_chance"] = chance_batch_nmi(predictions, labels, PAPERS_BATCH)
    return figures
