"""Our recipe for pictures at toy size, and real pictures of 16 x 16 pixels where there are any."""

import numpy as np
import torch

STAGES = ("features", "train", "refine", "student")
TINY = {
    "device": "cpu",
    "sampler.engine": "torch",
    "speed.bf16": False,
    "network.encoder": "resnet8-8",
    "network.projector": [16, 8],
    "features.projector": [16, 16],
    "features.atoms": 64,
    "features.learning_rate": 4.0,
    "view.neighbours": 5,
    "restarts": 3,
    "sampler.chains": 16,
    "sampler.buffer": 32,
    "sampler.steps": 2,
    "student.network.encoder": "resnet8-8-spectral",
    "student.network.projector": [8],
    "student.views": 2,
    "log_every": 4,
} | {f"{stage}.{key}": value for stage in STAGES for key, value in (("batch", 32), ("steps", 8), ("ema", 0.9))}


def small_images(cifar):
    """uint8 [192, 3, 16, 16]."""
    with np.load(cifar / "cifar10.npz") as file:
        return torch.from_numpy(file["x_train"][:, ::2, ::2]).permute(0, 3, 1, 2).contiguous()
