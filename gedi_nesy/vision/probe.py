"""How well frozen features predict labels: a linear probe and nearest neighbours; labels serve to score only."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# The paper's probe: SGD with momentum (the paper does not say how much) at this rate, so many images a batch
EPOCHS, BATCH, LEARNING_RATE, MOMENTUM = 100, 100, 1e-3, 0.9
NEIGHBOURS = 20
CHUNK = 1000  # test images whose similarities to all training images are held at once


def linear_probe(
    features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor, *, epochs: int = EPOCHS
) -> float:
    """Test accuracy of a linear layer on features, trained as the paper has it: features as they are, no decay.

    It starts from zero, and batches come in an order that is always the same, so that equal features give equal scores.

    Args:
        features: of training images, [n, d].
        labels: int64 [n], from 0.
        test_features: [m, d].
        test_labels: int64 [m].
        epochs: passes over the training images.
    """
    classes = int(torch.cat([labels, test_labels]).max()) + 1
    layer = nn.Linear(features.shape[1], classes, device=features.device)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.SGD(layer.parameters(), LEARNING_RATE, MOMENTUM)
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for rows in torch.randperm(len(features), generator=generator).to(features.device).split(BATCH):
            loss = F.cross_entropy(layer(features[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return _accuracy(layer(test_features).argmax(-1), test_labels)


def standardised(features: Tensor, test_features: Tensor) -> tuple[Tensor, Tensor]:
    """Both with the training features' mean at 0 and deviation at 1: a probe of them does not depend on their scale."""
    mean, spread = features.mean(0), features.std(0).clamp_min(1e-12)
    return (features - mean) / spread, (test_features - mean) / spread


def knn_accuracy(
    features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor, *, neighbours: int = NEIGHBOURS
) -> float:
    """Test accuracy of the majority label among the training images with the most similar features (cosine).

    Args:
        features: of training images, [n, d].
        labels: int64 [n], from 0.
        test_features: [m, d].
        test_labels: int64 [m].
        neighbours: that vote; all training images where there are fewer. Ties go to the lowest label.
    """
    known = F.normalize(features, dim=1)
    votes = F.one_hot(labels)  # [n, classes]
    predictions = []
    for chunk in F.normalize(test_features, dim=1).split(CHUNK):
        nearest = (chunk @ known.T).topk(min(neighbours, len(known))).indices  # [chunk, neighbours]
        predictions.append(votes[nearest].sum(1).argmax(-1))
    return _accuracy(torch.cat(predictions), test_labels)


def _accuracy(predictions: Tensor, labels: Tensor) -> float:
    return float((predictions == labels).double().mean())
