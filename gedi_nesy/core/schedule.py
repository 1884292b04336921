"""Schedules: values that change with the progress of training, written as points and read as functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Points = Sequence[Sequence[float]]  # (progress, value) pairs


@dataclass(frozen=True)
class Schedule:
    """A piecewise-linear function of the progress in [0, 1]; two points at one progress make a step.

    Args:
        points: (progress, value) pairs in the order of progress; constant before the first and after the last.
    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        positions = [progress for progress, _ in self.points]
        if not all(math.isfinite(number) for point in self.points for number in point):
            raise ValueError(f"a schedule needs finite numbers, not {self.points}")
        if not positions or positions != sorted(positions) or positions[0] < 0 or positions[-1] > 1:
            raise ValueError(f"a schedule needs points in the order of progress between 0 and 1, not {self.points}")

    @classmethod
    def of(cls, value: "float | Points | Schedule") -> "Schedule":
        """A constant, or the points of a schedule as nested lists (the form they have in a recipe)."""
        if isinstance(value, Schedule):
            return value
        points = ((0.0, value),) if isinstance(value, int | float) else value
        try:
            numbers = tuple((_number(progress), _number(at)) for progress, at in points)
        except (OverflowError, TypeError, ValueError) as error:
            raise ValueError(f"a schedule is a number or [progress, value] points, not {value!r}") from error
        return cls(numbers)

    def scaled(self, factor: float) -> "Schedule":
        """The same schedule with every value times a factor."""
        return Schedule(tuple((progress, value * factor) for progress, value in self.points))

    @property
    def is_zero(self) -> bool:
        """Whether the value is 0 throughout, so that its term need not be computed."""
        return all(value == 0 for _, value in self.points)

    def __call__(self, progress: float) -> float:
        """The value at a progress in [0, 1]; at a step, the value after it."""
        before = [point for point in self.points if point[0] <= progress]
        after = [point for point in self.points if point[0] > progress]
        if not before or not after:
            return before[-1][1] if before else after[0][1]
        (left, low), (right, high) = before[-1], after[0]
        return low + (high - low) * (progress - left) / (right - left)


def _number(value: float) -> float:
    """The value as a number; texts and truth values, which Python would convert, are refused."""
    if isinstance(value, str | bool):
        raise TypeError
    return float(value)
