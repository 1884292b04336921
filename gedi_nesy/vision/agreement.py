"""Agreement of clusters with labels, on the whole data set and as the paper seems to measure it on images."""

from torch import Tensor

from gedi_nesy.core.metrics import batch_nmi, chance_batch_nmi, score

PAPERS_BATCH = 64  # images; the paper's NMI on images seems to be a mean over such batches


def score_clusters(predictions: Tensor, labels: Tensor, classes: int, *, in_batches: bool = False) -> dict[str, float]:
    """Agreement of clusters and labels, int64 [n] both.

    Returns:
        `nmi`, `ami`, `cluster_accuracy` (Hungarian); with `in_batches` and enough points also `nmi_batch64`, the mean
        over batches of 64, and `nmi_batch64_chance`, the same figure for these clusters dealt out at random.
    """
    scores = score(predictions, labels, classes)
    figures = {"nmi": scores.nmi, "ami": scores.ami, "cluster_accuracy": scores.cluster_accuracy}
    if in_batches and len(labels) >= PAPERS_BATCH:
        predictions, labels = predictions.cpu(), labels.cpu()
        figures["nmi_batch64"] = batch_nmi(predictions, labels, PAPERS_BATCH)
        figures["nmi_batch64_chance"] = chance_batch_nmi(predictions, labels, PAPERS_BATCH)
    return figures
