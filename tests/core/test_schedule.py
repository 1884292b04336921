import math

import pytest

from gedi_nesy.core.schedule import Schedule


def test_lines_between_points_and_constants_outside():
    schedule = Schedule.of([[0.2, 400.0], [0.6, 40.0]])
    assert schedule(0.0) == 400.0
    assert schedule(0.4) == pytest.approx(220.0)
    assert schedule(1.0) == 40.0


def test_two_points_at_one_progress_are_a_step():
    schedule = Schedule.of([[0.0, 0.0], [0.7, 0.0], [0.7, 10.0]])
    assert [schedule(0.69), schedule(0.7), schedule(1.0)] == [0.0, 10.0, 10.0]


@pytest.mark.parametrize("points", ["ab", 10**400, math.inf, [[math.nan, 1.0]], [[0.0, math.inf]], [[0.0]], [1.0]])
def test_what_is_no_schedule_is_refused(points):
    with pytest.raises(ValueError, match="a schedule"):
        Schedule.of(points)


@pytest.mark.parametrize("points", [[], [[0.5, 1.0], [0.2, 1.0]], [[-0.1, 1.0]], [[0.0, 1.0], [1.1, 1.0]]])
def test_points_out_of_order_or_range_are_refused(points):
    with pytest.raises(ValueError, match="order of progress"):
        Schedule.of(points)
