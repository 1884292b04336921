"""What a comparison found: its numbers, and how they are shown and written."""

from gedi_nesy.report.comparison.files import write_comparison
from gedi_nesy.report.comparison.plot import comparison_png
from gedi_nesy.report.comparison.progress import ComparisonDisplay
from gedi_nesy.report.comparison.table import markdown_lines, markdown_table, text_table
from gedi_nesy.report.comparison.tally import Comparison, Kind, Line, Spread

__all__ = [
    "Comparison",
    "ComparisonDisplay",
    "Kind",
    "Line",
    "Spread",
    "comparison_png",
    "markdown_lines",
    "markdown_table",
    "text_table",
    "write_comparison",
]
