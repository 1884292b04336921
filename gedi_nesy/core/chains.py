"""The samples that L_GEN needs at each step: chains of a replay buffer, advanced in the step or beside it."""

import copy
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import torch
from torch import Tensor, nn

from gedi_nesy.core.sgld import SGLD, ReplayBuffer

Renew = Callable[[Tensor, torch.Generator], Tensor]


class Chains:
    """A model's chains, of which a training step advances some.

    With `ahead`, a second thread advances them while the training step runs, which costs no time where a second core is
    free: the compiled chains release Python's lock. The samples of a step then come from the weights of the step
    before, whatever the threads' speed, so that a run repeats bit for bit.

    Args:
        model: the energy model; its weights are read when a call begins.
        sgld: advances the chains.
        buffer: where the chains wait between steps.
        count: how many chains are advanced at once.
        generator: the only source of randomness; ahead, of these chains alone.
        ahead: whether a second thread advances them beside the next step.
        renew: from drawn chains, and the generator, to where they start; without it they start where they are.
    """

    def __init__(
        self,
        model: nn.Module,
        sgld: SGLD,
        buffer: ReplayBuffer,
        count: int,
        generator: torch.Generator,
        *,
        ahead: bool = False,
        renew: Renew | None = None,
    ) -> None:
        self.model, self.sgld, self.buffer, self.count = model, sgld, buffer, count
        self.generator, self.ahead, self.renew = generator, ahead, renew
        self._frozen = copy.deepcopy(model).requires_grad_(False).eval()  # chains know no dropout
        self._next: tuple[Tensor, Tensor] | Future[tuple[Tensor, Tensor]] | None = None  # indices and samples
        self._thread = _one_thread() if ahead else None

    def __call__(self) -> Tensor:
        """This step's samples, [count, ...]; a chain that has diverged shows as values that are not finite."""
        indices, samples = self._finished() or self._launch().result()
        self.buffer.store(indices, samples)
        if self.ahead:
            self._next = self._launch()
        return samples

    def state_dict(self) -> dict[str, Any]:
        """The buffer; with `ahead` also the samples that the next call will return, and their noise's generator."""
        if not self.ahead:
            return self.buffer.state_dict()
        self._next = self._finished()
        return self.buffer.state_dict() | {"next": self._next, "generator": self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        if isinstance(self._next, Future):
            wait([self._next])  # its chains belong to the training that is given up
        self.buffer.load_state_dict(state)
        if self.ahead:
            self._next = None if state["next"] is None else (state["next"][0], state["next"][1])
            self.generator.set_state(state["generator"].cpu())

    def _finished(self) -> tuple[Tensor, Tensor] | None:
        """The thread's samples, once they are there."""
        return self._next.result() if isinstance(self._next, Future) else self._next

    def _launch(self) -> Future[tuple[Tensor, Tensor]]:
        """Draw chains and advance them, in the thread where there is one, with the weights as they are now."""
        self._frozen.load_state_dict(self.model.state_dict())
        if self._thread:
            return self._thread.submit(self.advance)
        done: Future[tuple[Tensor, Tensor]] = Future()
        done.set_result(self.advance())
        return done

    def advance(self) -> tuple[Tensor, Tensor]:
        """The places of some chains in the buffer, and their values after their steps."""
        indices, chains = self.buffer.draw(self.count, self.generator)
        if self.renew:
            chains = self.renew(chains, self.generator)
        return indices, self.sgld.advance(self._frozen, chains, self.generator)


def _one_thread() -> ThreadPoolExecutor:
    """A thread in which torch uses as many threads as here, which it would not do by itself."""
    threads = torch.get_num_threads()
    return ThreadPoolExecutor(1, "chains", initializer=torch.set_num_threads, initargs=(threads,))
