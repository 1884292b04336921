"""Stochastic gradient Langevin dynamics with a replay buffer: samples of p(x) (paper, Sections 3 and O)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gedi_nesy.core.energy import gradient_of_log_density
from gedi_nesy.core.jumps import jump
from gedi_nesy.core.reference import Reference
from gedi_nesy.errors import UserError


@dataclass(frozen=True)
class SGLD:
    """A sampler: x <- x + step_size * d log p(x)/dx + noise * N(0, 1), `steps` times.

    This is the convention of JEM and of the paper's recipes. Langevin dynamics proper, whose stationary density is
    p(x), has noise = sqrt(2 * step_size); less noise samples a sharper density.

    Attributes:
        steps: gradient steps a call.
        step_size: factor of the gradient.
        noise: standard deviation of a step's noise.
        clamp: (low, high) to which x is clipped after every step, or None. Without it pixels drift far outside.
        engine: "numba" runs whole chains in compiled code, several times faster, for float32 on CPU and plain stacks of
            layers (`core.chain`); it takes the same noise and gives the same samples up to rounding. "graph" records
            the steps on a GPU as one CUDA graph, for networks that branch on no value.
        jump: each step begins with a jump (`core.jumps`) inside the clamp, between regions that gradients keep apart.
        reference: r(x), so that chains sample exp(-E(x)) r(x); without it r is uniform, as in the paper.

    Raises:
        UserError: when a setting is out of its range.
    """

    steps: int = 20
    step_size: float = 1.0
    noise: float = 0.01
    clamp: tuple[float, float] | None = None
    engine: Literal["torch", "numba", "graph"] = "torch"
    jump: bool = False
    reference: Reference | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"SGLD needs at least one step, not steps={self.steps}.")
        if not self.step_size > 0:
            raise UserError(f"SGLD needs a positive step_size, not {self.step_size}.")
        if not self.noise >= 0:
            raise UserError(f"SGLD needs a noise of 0 or more, not {self.noise}.")
        if self.clamp is not None and not self.clamp[0] < self.clamp[1]:
            raise UserError(f"SGLD clamps to (low, high) with low < high, not {self.clamp}.")
        if self.engine not in ("torch", "numba", "graph"):
            raise UserError(f'The engine of SGLD is "torch", "numba" or "graph", not {self.engine!r}.')
        if self.engine == "numba" and find_spec("numba") is None:
            raise UserError("SGLD's numba engine needs numba: pip install 'gedi-nesy[fast]'.")
        if self.jump and (self.clamp is None or self.engine == "numba"):
            raise UserError('SGLD jumps inside a clamp only, and not with engine="numba"; set a clamp, or no jump.')
        if self.jump and self.reference is not None:
            raise UserError("SGLD's jumps know no reference density; leave one of the two out.")

    def __call__(self, model: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        """Advance every chain by `steps` steps; no gradient flows through them or into the parameters.

        Args:
            model: from x to logits, [chains, classes]. It runs in the mode (train or eval) that it is in.
            x: where the chains are, shape [chains, ...]; it is left as it is.
            generator: the only source of randomness, on the device of x.

        Returns:
            Where the chains end, in the shape of x.

        Raises:
            FloatingPointError: when a chain has left the finite numbers.
        """
        x = self.advance(model, x, generator)
        if not x.isfinite().all():
            raise FloatingPointError(
                f"SGLD left the finite numbers within {self.steps} steps of size {self.step_size}; "
                "a smaller step_size or a penalty on the energies keeps it stable."
            )
        return x

    def advance(self, model: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        """As a call, for callers that check themselves whether every chain is still finite."""
        engines = {"torch": self._by_torch, "numba": self._by_numba, "graph": self._by_graph}
        return engines[self.engine](model, x, generator)

    def _by_torch(self, model: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        with torch.no_grad():
            gradient = gradient_of_log_density(model, x.device)
            for _ in range(self.steps):
                if self.jump and self.clamp is not None:
                    x = jump(model, x, self.clamp, generator)
                noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
                slope = gradient(x) if self.reference is None else gradient(x) + self.reference.gradient(x)
                x = x.add(slope, alpha=self.step_size).add_(noise, alpha=self.noise)
                if self.clamp is not None:
                    x = x.clamp_(*self.clamp)
        return x

    def _by_numba(self, model: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        from gedi_nesy.core.chain.run import run_chains  # here, because it needs an optional package

        return run_chains(model, x, generator, self)

    def _by_graph(self, model: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        from gedi_nesy.core.chain.graph import replay_chains  # here, because few need it

        return replay_chains(self._by_torch, self, model, x, generator)


def start_noise(
    shape: Sequence[int], box: tuple[float, float], generator: torch.Generator, ground: Tensor | None = None
) -> Tensor:
    """Where chains begin: uniform in the box, on the generator's device.

    Args:
        shape: of all, [chains, ...].
        box: least and greatest value.
        generator: the source of chance.
        ground: the input of an empty picture, towards which each chain's noise is drawn by a random share, so that some
            begin with hardly any ink: from full noise chains come to drawings with much of it first. None for no share.
    """
    noise = torch.empty(*shape, device=generator.device).uniform_(*box, generator=generator)
    if ground is None:
        return noise
    strength = torch.rand(shape[0], *[1] * (len(shape) - 1), generator=generator, device=generator.device)
    return ground + strength * (noise - ground)


class ReplayBuffer:
    """Chains that go on from step to step of training, a few of them restarted at each draw (Du & Mordatch 2019).

    Attributes:
        samples: where each chain is, [capacity, *shape], on the given device; uniform in [low, high] at first. As bytes
            they are 0 at `low` and 255 at `high`.
    """

    def __init__(
        self,
        capacity: int,
        shape: tuple[int, ...],
        low: float,
        high: float,
        reinit: float,
        generator: torch.Generator,
        device: torch.device,
        as_bytes: bool = False,
        ground: Tensor | None = None,
    ) -> None:
        """Fill the buffer with uniform noise.

        Args:
            capacity: how many chains.
            shape: of one sample.
            low: least value of the noise that chains start from.
            high: greatest value of it.
            reinit: probability with which a drawn chain is restarted.
            generator: source of the first noise, on `device`.
            device: where the chains live.
            as_bytes: whether chains that stay in [low, high], such as images, are rounded to bytes while they lie here:
                memory and checkpoints need a fourth.
            ground: of `start_noise`.

        Raises:
            UserError: when a setting is out of its range.
        """
        if capacity < 1:
            raise UserError(f"A replay buffer holds at least one chain, not capacity={capacity}.")
        if not low < high:
            raise UserError(f"A replay buffer starts in [low, high] with low < high, not in [{low}, {high}].")
        if not 0 <= reinit <= 1:
            raise UserError(f"The probability reinit lies in [0, 1], unlike {reinit}.")
        self.low, self.high, self.reinit, self.as_bytes = low, high, reinit, as_bytes
        self.ground = ground
        self.samples = self._kept(start_noise((capacity, *shape), (low, high), generator, ground))

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Take n different chains, each restarted from noise with probability `reinit`.

        Returns:
            Their indices, [n], for `store`, and where they are, [n, *shape].

        Raises:
            UserError: when the buffer holds fewer than n chains.
        """
        capacity, device = len(self.samples), self.samples.device
        if n > capacity:
            raise UserError(f"Can't draw {n} chains from a replay buffer of {capacity}; make the buffer larger.")
        indices = torch.randperm(capacity, generator=generator, device=device)[:n]
        chains = self.samples[indices]
        if self.as_bytes:
            chains = chains * ((self.high - self.low) / 255) + self.low
        # Noise for all of them, used or not, so that the generator's next state depends on n alone.
        noise = start_noise(chains.shape, (self.low, self.high), generator, self.ground)
        restart = torch.rand(n, generator=generator, device=device) < self.reinit
        return indices, torch.where(restart.view(-1, *[1] * (chains.dim() - 1)), noise, chains)

    def store(self, indices: Tensor, samples: Tensor) -> None:
        """Put chains, [n, *shape], back in their places, [n]."""
        self.samples[indices] = self._kept(samples.detach())

    def _kept(self, chains: Tensor) -> Tensor:
        """Chains as they lie here."""
        if not self.as_bytes:
            return chains
        return ((chains - self.low) * (255 / (self.high - self.low))).round().clamp(0, 255).to(torch.uint8)

    def state_dict(self) -> dict[str, Tensor]:
        """The chains; as with a module's state, a reference and not a copy."""
        return {"samples": self.samples}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put all chains back where `state_dict` was taken; UserError when capacity or shape differ."""
        samples = state["samples"]
        if samples.shape != self.samples.shape:
            raise UserError(
                f"The saved replay buffer has shape {list(samples.shape)} and this one {list(self.samples.shape)}; "
                "resume with the settings of the saved run."
            )
        self.samples.copy_(samples)
