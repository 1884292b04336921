"""scikit-learn's bundled digits: 1,797 images of handwritten digits, 8x8; what is there without files or network."""

import sklearn.datasets
import sklearn.model_selection
import torch
import torch.nn.functional as F

from gedi_nesy.data.images import Images

TEST_IMAGES = 400


def load_digits() -> Images:
    """The 1,797 digits, made to look like MNIST, 1,397 to train on and 400 to test on, always the same ones.

    Each image is enlarged from 8x8 to 20x20 (bilinear) and set in a black margin of 4 pixels: MNIST too has its
    digits in a box of 20x20 within 28x28. Values 0..16 become 0..255. The split is stratified by class.
    """
    pixels, labels = sklearn.datasets.load_digits(return_X_y=True)  # [1797, 64] with values 0..16, [1797]
    small = torch.from_numpy(pixels).float().view(-1, 1, 8, 8) * (255 / 16)
    x = F.pad(F.interpolate(small, size=(20, 20), mode="bilinear"), (4, 4, 4, 4)).round().to(torch.uint8)
    y = torch.from_numpy(labels).long()
    train, test = sklearn.model_selection.train_test_split(
        range(len(y)), test_size=TEST_IMAGES, stratify=labels, random_state=0
    )
    return Images("digits", x[train], y[train], x[test], y[test], tuple("0123456789"))
