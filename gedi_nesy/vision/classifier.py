"""A small classifier whose features stand in for Inception's: trained on labels, to evaluate samples only."""

import hashlib
from dataclasses import dataclass

import torch
from filelock import FileLock
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F

from gedi_nesy.data.images import Images
from gedi_nesy.data.places import cache_folder
from gedi_nesy.errors import UserError
from gedi_nesy.files import write_atomically

EPOCHS, BATCH, LEARNING_RATE = 5, 128, 3e-3
LAYERS = ((32, 4, 2), (64, 3, 1), (128, 3, 2))  # channels, side and stride of each convolution
CHUNK = 1000  # images evaluated at a time


class SmallNet(nn.Module):
    """Three convolutions with batch norm and ReLU, and a linear layer on their mean over the image.

    Args:
        channels: of the images.
        classes: number of logits.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width, side, stride in LAYERS:
            layers += [nn.Conv2d(channels, width, side, stride, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        self.encoder = nn.Sequential(*layers)
        self.head = nn.Linear(channels, classes)

    def features(self, images: Tensor) -> Tensor:
        """The input of the linear layer, [batch, 128], for images uint8 [batch, channels, height, width]."""
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

    @property
    def digest(self) -> str:
        """A short hash of the weights: another machine learns other weights from the same images."""
        digest = hashlib.sha256()
        for tensor in self.net.state_dict().values():
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:12]


def load_classifier(images: Images, device: torch.device | str = "cpu") -> Classifier:
    """The classifier of a data set: from the user's cache folder, or trained and put there, minutes on a CPU.

    Args:
        images: the data set; its training labels are used.
        device: where it learns and computes.

    Raises:
        UserError: the file in the cache is damaged.
    """
    key = f"{images.name}-{_digest(images)}"
    path = cache_folder() / "classifiers" / f"{key}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):  # runs that are evaluated side by side must get the same one
        if not path.is_file():
            here = images.to(device)
            trained = train_classifier(here)
            accuracy = torch.tensor(measure_accuracy(trained, here), dtype=torch.float64)
            write_atomically(path, save({**trained.cpu().state_dict(), "accuracy": accuracy}))
    net = SmallNet(images.x_train.shape[1], len(images.classes))
    try:
        state = load_file(path)
        accuracy = state.pop("accuracy")
        net.load_state_dict(state)
    except Exception as error:  # safetensors raises its own error type, which is not public
        raise UserError(f"{path} is damaged; delete it, and the next evaluation trains it again.") from error
    return Classifier(key, net.to(device).eval().requires_grad_(False), accuracy.item())


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
    """Share of the test images whose label it predicts."""
    predicted = torch.cat([net(chunk).argmax(-1) for chunk in images.x_test.split(CHUNK)])
    return float((predicted == images.y_test).double().mean())


def _digest(images: Images) -> str:
    """A short hash of the training set, and of everything above that decides what is learned."""
    digest = hashlib.sha256(repr((SmallNet.__name__, LAYERS, EPOCHS, BATCH, LEARNING_RATE)).encode())
    for tensor in (images.x_train, images.y_train):
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
