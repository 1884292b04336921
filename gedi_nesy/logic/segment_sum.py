"""Segment sums, the one operation that evaluating circuits takes."""

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

SHORT = 16  # lists up to this length are padded to one


class SegmentSum:
    """Segment sums: out[i] is the sum of table[row] over the rows in lists[i].

    Args:
        lists: the rows of each sum; the sum over no rows is 0.
        device: of the table.
    """

    def __init__(self, lists: Sequence[Sequence[int]], device: torch.device) -> None:
        self.lists, self.device = lists, device
        starts = [0, *accumulate(map(len, lists))][:-1]
        self.rows = torch.tensor([row for rows in lists for row in rows], dtype=torch.long, device=device)
        self.starts = torch.tensor(starts, dtype=torch.long, device=device)

    def sum(self, table: Tensor) -> Tensor:
        """[rows, batch] -> [lists, batch]. An embedding bag adds rows without a copy of each."""
        total: Tensor = torch.embedding_bag(table, self.rows, self.starts)[0]
        return total

    def logsumexp(self, table: Tensor) -> Tensor:
        """Segment sums in log space, of a table whose row 0 is log 0: [rows, batch] -> [lists, batch]."""
        total = table.new_empty(len(self.lists), table.shape[1])
        for numbers, rows in self._padded:
            sums = table.index_select(0, rows.flatten()).view(*rows.shape, -1).logsumexp(0)
            total.index_copy_(0, numbers, sums)
        return total

    @cached_property
    def _padded(self) -> list[tuple[Tensor, Tensor]]:
        """Lists of about one length: their numbers, and the lists beside each other, [longest, lists], filled up with
        row 0. One list of 800 would make all others as long."""
        groups: dict[int, list[int]] = defaultdict(list)
        for number, rows in enumerate(self.lists):
            groups[max(len(rows) - 1, SHORT - 1).bit_length()].append(number)
        return [(self._tensor(numbers), self._beside(numbers)) for numbers in groups.values()]

    def _beside(self, numbers: Sequence[int]) -> Tensor:
        lists = [self.lists[number] for number in numbers]
        longest = max(1, max(map(len, lists)))
        return self._tensor([[*rows, *[0] * (longest - len(rows))] for rows in lists]).t().contiguous()

    def _tensor(self, rows: Any) -> Tensor:
        return torch.tensor(rows, dtype=torch.long, device=self.device)
