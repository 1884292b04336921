"""Where a run computes: its device, the CPU threads it uses, and the processes that share it."""

import contextlib
import math
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta

import torch
from torch import Tensor, distributed

from gedi_nesy.errors import UserError


def find_device(name: str) -> torch.device:
    """The device of that name; from then on cuDNN computes on CUDA in ways that give the same result every time.

    From then on float32 is not rounded to TF32 there, either, but where `core.precision` allows it.

    Raises:
        UserError: if it can't be used here.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"The device {name!r} can't be used here; try --device cpu.") from error
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True  # so that a resumed run ends with the weights of one never stopped
        torch.backends.cudnn.allow_tf32 = False
        torch.set_float32_matmul_precision("highest")
    return device


def send(numbers: Tensor, device: torch.device) -> Tensor:
    """A copy on the device; a copy to a GPU is made beside its work, and nobody waits for it."""
    return numbers.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else numbers.to(device)


def has_bf16() -> bool:
    """Whether this machine's CPU has instructions for bfloat16, without which it computes slower than in float32.

    A torch that can't tell, before 2.10 or so, counts as none.
    """
    has: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(has.get("amx_bf16") or has.get("avx512_bf16"))


def check_room(chains: int, shape: Sequence[int], device: torch.device, size: int = 4) -> None:
    """Whether so many chains of SGLD can fit the memory at all; said before hours of training.

    Args:
        chains: how many.
        shape: of each.
        device: where they lie.
        size: bytes that a number takes.

    Raises:
        UserError: if they can't.
    """
    if device.type == "cuda":
        memory = torch.cuda.mem_get_info(device)[1]
    else:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else sys.maxsize
    if chains * math.prod(shape) * size > memory:
        of = "x".join(map(str, shape))
        raise UserError(f"There is no memory for {chains:,} chains of {of}; make sampler.buffer smaller.")


@contextlib.contextmanager
def cpu_threads(n: int) -> Iterator[None]:
    """Use n CPU threads in tensor operations inside the block, and restore their number on exit."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def float32_default() -> Iterator[None]:
    """Make new tensors float32 inside the block, as networks and chains must be; also a decorator.

    The default type is the whole process's. Where it is float32 already, as it mostly is, other threads see no change.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def joined_processes(device: str) -> Iterator[None]:
    """Join the processes that torchrun started (`core.processes`) inside the block; each has a GPU of its own.

    Without torchrun, or in a single process, nothing happens.

    Args:
        device: where they compute, "cpu" or "cuda".

    Raises:
        UserError: if the device names a single GPU, such as cuda:1.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    cuda = torch.device(device).type == "cuda"
    if cuda and torch.device(device).index is not None:
        raise UserError(f"Each process takes a GPU of its own; give --device cuda instead of {device}.")
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(hours=2))  # one evaluates, all wait
    try:
        yield
    finally:
        distributed.destroy_process_group()


def how_started() -> str:
    """The shell's words before "train" or "vision train" that start this run again with as many processes."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return "gedi-nesy"
    if os.environ["LOCAL_WORLD_SIZE"] != os.environ["WORLD_SIZE"]:
        return "torchrun ... -m gedi_nesy"  # on several machines, with the options of before
    return f"torchrun --nproc-per-node {os.environ['WORLD_SIZE']} -m gedi_nesy"


def is_first_process() -> bool:
    """Whether this is the process that writes and prints, of all that torchrun started."""
    return os.environ.get("RANK", "0") == "0"
