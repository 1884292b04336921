import torch

from gedi_nesy.logic.segment_sum import SegmentSum

LISTS = [[1, 2], [], [3], list(range(1, 41)), [5] * 17, [40, 1, 7]]  # short, none, long ones


def table(batch: int = 3) -> torch.Tensor:
    """Row 0 is log 0."""
    rows = torch.randn(41, batch, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows[0] = -1e30
    return rows


def test_sums_are_those_of_the_rows_named():
    rows = table()
    expected = torch.stack([sum((rows[i] for i in some), torch.zeros(3).double()) for some in LISTS])
    torch.testing.assert_close(SegmentSum(LISTS, torch.device("cpu")).sum(rows), expected)


def test_sums_of_logs_are_those_of_the_rows_named_whatever_their_number():
    rows = table()
    expected = torch.stack([rows[[0, *some]].exp().sum(0).log() for some in LISTS])
    found = SegmentSum(LISTS, torch.device("cpu")).logsumexp(rows)
    torch.testing.assert_close(found.where(found > -1e29, -torch.inf), expected)
