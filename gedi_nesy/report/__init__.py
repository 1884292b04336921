"""Plots and the self-contained HTML report of a run."""

from gedi_nesy.report.confusion import confusion_png
from gedi_nesy.report.html import report_html
from gedi_nesy.report.losses import losses_png
from gedi_nesy.report.samples import rows_png, samples_png

__all__ = ["confusion_png", "losses_png", "report_html", "rows_png", "samples_png"]
