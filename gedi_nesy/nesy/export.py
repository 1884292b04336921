"""A trained network as a TorchScript file, which PyTorch loads in Python and C++ without this package."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from gedi_nesy.data.scale import Scale, VectorScale
from gedi_nesy.errors import UserError


class _Reader(nn.Module):
    """A network behind the scale of its inputs: pictures in [0, 1], or vectors as they were given, to log p(y|x)."""

    shift: Tensor
    spread: Tensor

    def __init__(self, network: nn.Module, scale: Scale | VectorScale, images: int):
        super().__init__()
        self.network = network
        plain = isinstance(scale, Scale)
        shift = torch.tensor(scale.shift) if isinstance(scale, Scale) else scale.mean.repeat(images)
        spread = torch.tensor(scale.spread) if isinstance(scale, Scale) else scale.spread.repeat(images)
        device = next(network.parameters()).device if plain else shift.device
        self.register_buffer("shift", shift.to(device))
        self.register_buffer("spread", spread.to(device))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.network((x - self.shift) / self.spread)
        return logits.log_softmax(-1)


@torch.no_grad()
def export_network(
    network: nn.Module, scale: Scale | VectorScale, shape: tuple[int, ...], images: int, path: Path
) -> None:
    """Write a network as TorchScript: float [n, ...] in, pictures with intensities in [0, 1], and log p(y|x) out.

    Args:
        network: in eval mode.
        scale: of its inputs.
        shape: of what it reads, [C, H, W] or [D], of all its images together.
        images: how many it reads at once.
        path: the file.

    Raises:
        UserError: the network can't be traced, or the file can't be written, or its name promises another format.
    """
    if path.suffix == ".onnx":
        raise UserError(f"{path} would hold TorchScript, not ONNX; give it a name that ends in .pt.")
    reader = _Reader(network, scale, images).eval()
    device = next(network.parameters()).device
    few, more = (torch.rand(n, *shape, device=device, generator=_seeded(device)) for n in (2, 3))
    try:
        with warnings.catch_warnings(action="ignore"):  # that TorchScript is no longer developed
            traced = torch.jit.trace(reader, few, check_trace=False)
            same = torch.allclose(traced(more), reader(more), atol=1e-5)
            if not same:
                raise UserError(f"The network's computation depends on its input, so {path} would not do as it does.")
            torch.jit.save(traced, str(path))
    except (OSError, RuntimeError) as error:
        raise UserError(f"The network can't be written to {path}: {str(error).splitlines()[0]}.") from error


def _seeded(device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(0)
