"""Distributions of a check as a figure of matplotlib."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from app.core.evaluation.results import DriftDecision
from topics.results import FeatureDrift

MOST_COLUMNS, PER_ROW = 9, 3
REFERENCE, CURRENT = "#667085", "#d1480a"


def figure_of(drift: DriftDecision) -> Figure:
    """Return a figure with a pair of distributions for each column: the drifted, else those that differ most."""
    columns = [column for column in (*drift.features, drift.prediction, drift.probability) if column is not None]
    drawn = [column for column in columns if column.shape is not None and column.shape.at]
    drawn.sort(key=lambda column: (-column.drifted, -(column.statistic or 0.0) / (column.threshold or 1.0)))
    if any(column.drifted for column in drawn):
        drawn = [column for column in drawn if column.drifted]
    drawn = drawn[:MOST_COLUMNS]
    rows = max(1, -(-len(drawn) // PER_ROW))
    figure = Figure(figsize=(4.0 * min(PER_ROW, max(1, len(drawn))), 2.8 * rows), layout="constrained")
    for number, column in enumerate(drawn, 1):
        _draw(figure.add_subplot(rows, min(PER_ROW, len(drawn)), number), column)
    if drawn:
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    else:
        figure.text(0.5, 0.5, "no column could be compared", ha="center")
    return figure


def _draw(axes: Axes, column: FeatureDrift) -> None:
    shape = column.shape
    assert shape is not None
    if column.kind == "categorical":
        places = range(len(shape.at))
        axes.bar([at - 0.2 for at in places], shape.reference, 0.4, color=REFERENCE, label="reference")
        axes.bar([at + 0.2 for at in places], shape.current, 0.4, color=CURRENT, label="current")
        axes.set_xticks(list(places), [str(name)[:12] for name in shape.at], rotation=45, ha="right", parse_math=False)
    else:
        at = [float(value) for value in shape.at]
        axes.step(at, shape.reference, where="post", color=REFERENCE, linestyle="--", label="reference")
        axes.step(at, shape.current, where="post", color=CURRENT, label="current")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_title(f"{column.name[:40]}{' (drifted)' if column.drifted else ''}", fontsize=10, parse_math=False)
