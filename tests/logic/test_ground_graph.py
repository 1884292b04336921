"""The ground formula as a graph."""

from gedi_nesy.logic.ground import Fact, GroundProgram
from gedi_nesy.logic.ground_graph import components


def test_components_come_before_what_depends_on_them():
    """5 is a conjunction of 3 and not 4; 2 and 3 are a cycle, with 1 below; 6 can't be reached from the root."""
    nodes = (
        ("literal", 0, 0),
        ("or", (1, 3)),
        ("or", (2, 0)),
        ("literal", 0, 1),
        ("and", (3, -4, None)),
        ("and", (5, 4)),
    )
    ground = GroundProgram((), (Fact((0.5, 0.5), True),), (), nodes, 5, (), ())
    found = components(ground)
    assert sorted(found) == [[1], [2, 3], [4], [5]]
    assert found.index([1]) < found.index([2, 3]) < found.index([5])
    assert found.index([4]) < found.index([5])
