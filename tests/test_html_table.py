from xml.etree import ElementTree

from IPython.core.formatters import HTMLFormatter

from gedi_nesy import Constraint
from gedi_nesy.html_table import html_table
from gedi_nesy.report.comparison import Comparison
from gedi_nesy.runs.compare.trial import Cell, Outcome

TEXT = "nn(net, [X], Y, ['<b>',other]) :: read(X,Y). same(X) :- read(X,'<b>'). query(same(X))."


def in_notebook(thing):
    """The HTML that a notebook shows of it."""
    return HTMLFormatter()(thing)


def cells(html):
    return [["".join(cell.itertext()) for cell in row] for row in ElementTree.fromstring(html).iter("tr")]


def test_a_table_has_its_cells_as_they_are():
    html = html_table([("a<b", 1), ("c", "&amp;")], ("name", '"value"'))
    assert cells(html) == [["name", '"value"'], ["a<b", "1"], ["c", "&amp;"]]


def test_a_constraint_shows_its_query_and_symbols_in_a_notebook():
    shown = dict(cells(in_notebook(Constraint(TEXT))))
    assert shown["Query"] == "same(X)"
    assert "<b>" in shown["X"]


def test_a_comparison_shows_a_line_for_each_method_in_a_notebook():
    cell = Cell("run", "<paper>", 100, 0, "")
    comparison = Comparison([Outcome(cell, {"accuracy": 0.5})], "examples", {"accuracy": "accuracy"})
    heading, line = cells(in_notebook(comparison))
    assert heading == ["method", "examples", "runs", "accuracy"]
    assert line[0] == "<paper>"
