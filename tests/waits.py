"""What would make a GPU wait for Python, noticed on the CPU."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
# they return a value, or a size by it, or look at one themselves
READS = {aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten.equal, aten._linalg_check_errors}
MAKES = {aten.lift_fresh}  # a tensor of Python's numbers, which has to be copied to the device


class Waits(TorchDispatchMode):
    """Collects the names of operations that read a tensor's value, or make a tensor from numbers."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        packet = func.overloadpacket
        by_mask = packet == aten.index and any(
            isinstance(part, torch.Tensor) and part.dtype == torch.bool for part in args[1]
        )
        if packet in READS | MAKES or by_mask:
            self.found.append(str(packet))
        return func(*args, **(kwargs or {}))

    def __enter__(self):
        self.patch = pytest.MonkeyPatch()
        for name in ("tolist", "numpy"):  # which no dispatch mode sees
            self.patch.setattr(torch.Tensor, name, self.noting(getattr(torch.Tensor, name), name))
        return super().__enter__()

    def __exit__(self, *error):
        self.patch.undo()
        return super().__exit__(*error)

    def noting(self, method, name):
        def noted(*args, **kwargs):
            self.found.append(name)
            return method(*args, **kwargs)

        return noted
