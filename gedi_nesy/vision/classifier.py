"""A small classifier whose features stand in for Inception's: trained on labels, to evaluate samples only."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F

from gedi_nesy.data.images import Images
from gedi_nesy.data.places import cache_folder
from gedi_nesy.runs import write_atomically

EPOCHS, BATCH, LEARNING_RATE = 8, 128, 3e-3
WIDTHS = (32, 64, 128)
CHUNK = 1000  # images evaluated at a time


class SmallNet(nn.Module):
    """Three convolutions with batch norm, the second and third of stride 2, and a linear layer on their mean.

    Args:
        channels: of the images.
        classes: number of logits.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, stride in zip((channels, *WIDTHS), WIDTHS, (1, 2, 2), strict=False):
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.ReLU()]
        self.encoder = nn.Sequential(*layers)
        self.head = nn.Linear(WIDTHS[-1], classes)

    def features(self, images: Tensor) -> Tensor:
        """What the linear layer sees, [batch, 128], of images uint8 [batch, channels, height, width]."""
        hidden: Tensor = self.encoder(images.float() / 255)
        return hidden.mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Logits, [batch, classes], of images uint8 [batch, channels, height, width]."""
        logits: Tensor = self.head(self.features(images))
        return logits


@dataclass(frozen=True)
class Classifier:
    """A trained classifier.

    Attributes:
        key: the data set's name, and a hash of its training set and of how the classifier learned from it.
        net: in eval mode.
        accuracy: on the test images.
    """

    key: str
    net: SmallNet
    accuracy: float


def load_classifier(images: Images, device: torch.device | str = "cpu") -> Classifier:
    """The classifier of a data set: from the user's cache folder, or trained and put there, minutes on a CPU.

    Args:
        images: the data set; its training labels are used.
        device: where it learns and computes.
    """
    key = f"{images.name}-{_digest(images)}"
    path = cache_folder() / "classifiers" / f"{key}.safetensors"
    net = SmallNet(images.x_train.shape[1], len(images.classes))
    if path.is_file():
        state = load_file(path)
        accuracy = state.pop("accuracy").item()
        net.load_state_dict(state)
        return Classifier(key, net.to(device).eval(), accuracy)
    net = train_classifier(images.to(device))
    accuracy = measure_accuracy(net, images.to(device))
    _store(path, {**net.cpu().state_dict(), "accuracy": torch.tensor(accuracy, dtype=torch.float64)})
    return Classifier(key, net.to(device), accuracy)


def train_classifier(images: Images, epochs: int = EPOCHS) -> SmallNet:
    """A classifier that learned from the training images and labels, in eval mode; the same seed each time."""
    x, y = images.x_train, images.y_train
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = SmallNet(x.shape[1], len(images.classes)).to(x.device)
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(net.parameters())
    batches = -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=epochs * batches)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).to(x.device).split(BATCH):
            loss = F.cross_entropy(net(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval().requires_grad_(False)


@torch.no_grad()
def measure_accuracy(net: SmallNet, images: Images) -> float:
    """Share of the test images whose label it finds."""
    found = torch.cat([net(chunk).argmax(-1) for chunk in images.x_test.split(CHUNK)])
    return float((found == images.y_test).double().mean())


def _digest(images: Images) -> str:
    """A short hash of the training set, and of everything above that decides what is learned."""
    digest = hashlib.sha256(repr((SmallNet.__name__, WIDTHS, EPOCHS, BATCH, LEARNING_RATE)).encode())
    for tensor in (images.x_train, images.y_train):
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _store(path: Path, state: dict[str, Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, save(state))
