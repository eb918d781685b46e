"""Two plots of an evaluation as PNG files, drawn by matplotlib without its global state."""

# ruff: noqa: PLC0415 - matplotlib costs a second and 40 MB, so it is imported with the first plot

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from models.sales.evaluation.report import SalesReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, SOFT = "#1f63c4", "#b9c9e6"
GROUPS = 8


def plot_calibration(report: SalesReport) -> bytes:
    """Actual scores in groups of rising predicted score, and the coverage of the intervals.

    For each group the plot shows the median and the range from 5 to 95 %, and the diagonal.
    """
    order = np.argsort(report.predicted, kind="stable")
    groups = [rows for rows in np.array_split(order, min(GROUPS, len(order))) if len(rows)]

    def draw(axes: "Axes") -> None:
        predicted = np.array([report.predicted[rows].mean() for rows in groups])
        sold = [np.quantile(report.actual[rows], (0.05, 0.5, 0.95)) for rows in groups]
        low, middle, high = np.array(sold).T
        axes.plot([0, 100], [0, 100], color="grey", linewidth=1, linestyle="--")
        axes.errorbar(
            predicted, middle, yerr=[middle - low, high - middle], fmt="o", color=INK, ecolor=SOFT,
            elinewidth=3, label="actual score: median, 5 to 95 %",
        )  # fmt: skip
        axes.set_title(f"{report.coverage:.0%} of {len(report.actual)} inside their interval")
        axes.legend(loc="upper left", fontsize=8, frameon=False)

    return _render(draw, "expected score (groups of equal size)", "actual score")


def plot_actual(report: SalesReport) -> bytes:
    """Plots the predicted score of every row, with its interval, against the actual score."""

    def draw(axes: "Axes") -> None:
        axes.plot([0, 100], [0, 100], color="grey", linewidth=1, linestyle="--")
        axes.vlines(report.predicted, report.low, report.high, color=SOFT, linewidth=1, alpha=0.5)
        axes.scatter(report.predicted, report.actual, s=8, color=INK, alpha=0.7, linewidths=0)
        spearman = report.measures.spearman
        correlation = "" if spearman is None else f", rank correlation {spearman:.2f}"
        axes.set_title(f"mean absolute error {report.measures.mae:.1f} points{correlation}")

    return _render(draw, "expected score, with its interval", "actual score")


def _render(draw: Any, xlabel: str, ylabel: str) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 5.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set(xlim=(-2, 102), ylim=(-2, 102), xlabel=xlabel, ylabel=ylabel, aspect="equal")
    draw(axes)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
