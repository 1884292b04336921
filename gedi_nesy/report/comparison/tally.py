"""The numbers of a comparison: one row a run, one line a method and what it was trained on."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gedi_nesy.html_table import html_table
from gedi_nesy.runs.compare.trial import Outcome
from gedi_nesy.runs.dotted import flatten

Kind = tuple[str, int | str]  # method, and what it was trained on


@dataclass(frozen=True)
class Spread:
    """Several values of a figure in two numbers.

    Attributes:
        centre: their median; of what the paper reports, the mean in its Tables 2 and 3 and the median in its Table 6.
        std: their standard deviation as of a sample, None where there is only one value.
    """

    centre: float
    std: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of one value or more."""
        return cls(statistics.median(values), statistics.stdev(values) if len(values) > 1 else None)


@dataclass(frozen=True)
class Line:
    """The runs of one method on one number of examples or data set.

    Attributes:
        method: its name.
        on: what it was trained on.
        runs: how many there are to be.
        finished: how many are finished; all figures are over these.
        failures: a sentence for each run that failed.
        figures: by key of summary.json; for a figure that is true or false, the number of runs where it is true.
        published: what the paper reports, by the same keys.
    """

    method: str
    on: int | str
    runs: int
    finished: int
    failures: tuple[str, ...]
    figures: Mapping[str, Spread | int]
    published: Mapping[str, Spread]

    @property
    def failed(self) -> int:
        """How many runs failed."""
        return len(self.failures)


@dataclass(frozen=True)
class Comparison:
    """What was compared, and what came of it.

    Attributes:
        outcomes: of all runs.
        axis: what distinguishes the runs of a method, for example "examples" or "dataset".
        figures: the keys of the runs' figures to compare, levels joined by dots, with a short label each.
        published: what the paper reports for a method and what it was trained on.
        tables: where they are too many for one table, the title of each and its figures.
    """

    outcomes: Sequence[Outcome]
    axis: str
    figures: Mapping[str, str]
    published: Mapping[Kind, Mapping[str, Spread]] = field(default_factory=dict)
    tables: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        from gedi_nesy.report.comparison.table import tables  # which needs this class

        return "".join(html_table(rows, heading) for _, (heading, *rows) in tables(self))

    def rows(self) -> list[dict[str, Any]]:
        """One row a run, in order; figures that it has not got are None."""
        return [self._row(outcome) for outcome in self.outcomes]

    def lines(self) -> list[Line]:
        """One line a method and what it was trained on, in the order in which methods and these first appear."""
        kinds = [(outcome.cell.method, outcome.cell.on) for outcome in self.outcomes]
        methods, places = (list(dict.fromkeys(kind[k] for kind in kinds)) for k in (0, 1))
        order = sorted(dict.fromkeys(kinds), key=lambda kind: (methods.index(kind[0]), places.index(kind[1])))
        return [self._line(kind) for kind in order]

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        lines = [asdict(line) | {"failed": line.failed} for line in self.lines()]
        for line in lines:
            line[self.axis] = line.pop("on")
        return {"table": lines, "runs": self.rows(), "machines": self._machines()}

    def _machines(self) -> list[dict[str, Any]]:
        """The different devices, machines and versions of packages that the finished runs had."""
        found: list[dict[str, Any]] = []
        for outcome in self.outcomes:
            machine = {key: (outcome.summary or {}).get(key) for key in ("device", "machine", "versions")}
            if outcome.summary and machine not in found:
                found.append(machine)
        return found

    def _row(self, outcome: Outcome) -> dict[str, Any]:
        cell, found = outcome.cell, flatten(outcome.summary or {})
        figures = {key: found.get(key) for key in self.figures}
        which = {"method": cell.method, self.axis: cell.on, "seed": cell.seed}
        return which | figures | {"run": cell.name, "failure": outcome.failure}

    def _line(self, kind: Kind) -> Line:
        outcomes = [other for other in self.outcomes if (other.cell.method, other.cell.on) == kind]
        rows = [self._row(other) for other in outcomes if other.summary]
        values = {key: [row[key] for row in rows if row[key] is not None] for key in self.figures}
        return Line(
            method=kind[0],
            on=kind[1],
            runs=len(outcomes),
            finished=len(rows),
            failures=tuple(other.failure for other in outcomes if other.failure),
            figures={key: _gather(found) for key, found in values.items() if found},
            published=self.published.get(kind, {}),
        )


def _gather(values: Sequence[float] | Sequence[bool]) -> Spread | int:
    return values.count(True) if isinstance(values[0], bool) else Spread.of(values)
