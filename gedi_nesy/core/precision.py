"""Where float32 on CUDA may be rounded to TF32, which is faster and a thousandth off: in steps of training alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def tf32(allowed: bool, device: torch.device) -> Iterator[None]:
    """Whether matrix products and convolutions on this device are rounded inside; on a CPU nothing is done."""
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    _set("high" if allowed else "highest", allowed)
    try:
        yield
    finally:
        _set(*before)


def _set(products: str, convolutions: bool) -> None:
    torch.set_float32_matmul_precision(products)
    torch.backends.cudnn.allow_tf32 = convolutions
