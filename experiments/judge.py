"""The judge of samples of digits: a network trained with all labels, of another kind than the runs' networks.

The labels serve to measure only: no run sees them or the judge.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from gedi_nesy.data import Images
from gedi_nesy.views.drawings import Warp
from gedi_nesy.vision.fidelity import frechet_distance, precision_recall

NEIGHBOURS = 5  # of the manifolds that precision and recall are measured with
REAL = 1000  # test images that samples are compared with; the next as many give the floor


class Judge(nn.Module):
    """Three strided convolutions with batch norm, then 64 features and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((1, 32), (32, 64), (64, 64)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 4 * 4, 64), nn.ReLU())
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, [n, 10], of intensities in [0, 1], [n, 1, 28, 28]."""
        logits: Tensor = self.head(self.body(images))
        return logits


def load_judge(path: Path, images: Images) -> tuple[Judge, float]:
    """The judge, trained at the first call and then kept in a file, and its accuracy on the test images."""
    judge = Judge()
    if path.exists():
        judge.load_state_dict(torch.load(path, weights_only=True))
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        judge = _train(images)
        torch.save(judge.state_dict(), path)
    judge.eval()
    with torch.no_grad():
        digits = torch.cat([judge(chunk.float() / 255).argmax(-1) for chunk in images.x_test.split(1000)])
    return judge, (digits == images.y_test).float().mean().item()


def _train(images: Images, epochs: int = 6) -> Judge:
    """Adam on warped training images, with the labels."""
    torch.manual_seed(0)
    judge = Judge()
    generator, warp = torch.Generator().manual_seed(0), Warp()
    batches = epochs * (len(images.x_train) // 100)
    optimizer = torch.optim.Adam(judge.parameters(), fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=batches)
    for _ in range(batches):
        rows = torch.randint(len(images.x_train), (100,), generator=generator)
        views = warp(images.x_train[rows].float() / 255, 0.0, generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(judge(views), images.y_train[rows]).backward()
        optimizer.step()
        schedule.step()
    return judge


@torch.no_grad()
def judged(judge: Judge, images: Images, samples: Tensor) -> dict[str, float]:
    """What the judge sees in samples, [n, 1, 28, 28] in [0, 1].

    Returns:
        Fréchet distance of its 64 features to as many test images as there are samples (REAL at most), precision and
        recall (Kynkäänniemi et al. 2019), digits that more than 1% of the samples show with p > .9, the entropy of
        their shares (at most ln 10), and the mean of the largest p.
    """
    real = images.x_test[: min(REAL, len(samples))].float() / 255
    at_real, at_samples = judge.body(real), judge.body(samples)
    confidence, digits = judge.head(at_samples).softmax(-1).max(-1)
    sure = confidence > 0.9
    shares = torch.bincount(digits[sure], minlength=10) / max(1, int(sure.sum()))
    precision, recall = precision_recall(at_real, at_samples, NEIGHBOURS)
    return {
        "frechet_distance": frechet_distance(at_real, at_samples),
        "precision": precision,
        "recall": recall,
        "classes": int((shares > 0.01).sum()),
        "entropy": torch.special.entr(shares).sum().item(),
        "confidence": confidence.mean().item(),
    }


def floor(judge: Judge, images: Images) -> dict[str, float]:
    """The same figures of other test images: what perfect samples would have."""
    return judged(judge, images, images.x_test[REAL : 2 * REAL].float() / 255)
