"""Sums over chosen rows of a table, the one operation that evaluating circuits takes."""

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, zip_longest

import torch
from torch import Tensor


class Totals:
    """For each of some lists of rows, the sum of the rows of a table that it names.

    Args:
        lists: the rows of each; none is a sum of 0.
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
        """The logs of the sums of a table of logs whose row 0 is log 0: [rows, batch] -> [lists, batch]."""
        return table.index_select(0, self._padded.flatten()).view(*self._padded.shape, -1).logsumexp(0)

    @cached_property
    def _padded(self) -> Tensor:
        """The lists beside each other, [longest, lists], filled up with row 0."""
        padded = list(zip_longest(*self.lists, fillvalue=0))
        return torch.tensor(padded, dtype=torch.long, device=self.device).view(len(padded), len(self.lists))
