"""Picture of a column: its reference and its current distribution, as a small PNG for a message.

Numbers: both step functions, with the gap that is the Kolmogorov-Smirnov distance. Categories: paired bars.
"""

from __future__ import annotations

import io
import math
import threading
from functools import cache

from matplotlib import get_data_path
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.ticker import PercentFormatter
from PIL import Image

from app.alerting.rendering.rows import DriftRow
from app.alerting.rendering.sanitize import clip
from topics.events import Shape

WIDTH, HEIGHT, DPI = 4.8, 3.0, 200
"""Size in inches and dots per inch: 480 pixels wide when displayed, sharp on screens with two dots per pixel."""
REFERENCE, CURRENT, GAP = "#667085", "#d1480a", "#101828"
MOST_BARS = 7
"""Number of categories that are drawn. The others are one bar."""
LONGEST_LABEL = 22
SMALL = 8


_drawing = threading.Lock()
"""Lock around drawing: the library shares its fonts, which are not safe for threads."""


def picture_of(column: DriftRow) -> bytes | None:
    """Return the picture as PNG bytes; None where there is nothing to draw.

    Takes a fraction of a second: do not call in an event loop.
    """
    with _drawing:
        return _drawn(column)


def _drawn(column: DriftRow) -> bytes | None:
    shape = column.shape
    if shape is None or not shape.at or not len(shape.at) == len(shape.reference) == len(shape.current):
        return None
    if not all(math.isfinite(share) for share in (*shape.reference, *shape.current)):
        return None
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    if column.categorical:
        _bars(axes, shape)
    else:
        numbers = [value for value in shape.at if isinstance(value, float | int) and math.isfinite(value)]
        if len(numbers) != len(shape.at) or numbers != sorted(numbers):
            return None
        _steps(axes, numbers, shape, drawable(column.name))
    title = f"{clip(drawable(column.name), 40)}: {column.effect.partition(' (')[0]}"
    axes.set_title(title, fontsize=10, fontweight="bold", loc="left", parse_math=False)
    axes.tick_params(labelsize=SMALL)
    figure.legend(fontsize=SMALL, frameon=False, loc="outside lower right", ncols=2)  # it covers no data here
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return _png(figure)


def picture_words(column: DriftRow) -> str:
    """Return a description of the picture for readers who cannot see it."""
    return f"{column.name}: {column.reference or 'the reference'} before, {column.current or 'the current window'} now"


def _steps(axes: Axes, at: list[float], shape: Shape, name: str) -> None:
    """Draw the shares of rows at or below each value. Both lines start at 0, left of all values, and end flat."""
    pad = (at[-1] - at[0]) * 0.04 or max(abs(at[0]) * 0.1, 1.0)
    x = [at[0] - pad, *at, at[-1] + pad]
    for shares, colour, style, label in (
        (shape.reference, REFERENCE, (0, (4, 1.5)), "reference"),
        (shape.current, CURRENT, "solid", "now"),
    ):
        axes.step(
            x, [0.0, *shares, shares[-1]], where="post", color=colour, linestyle=style, linewidth=1.8, label=label
        )
    gaps = [abs(now - before) for before, now in zip(shape.reference, shape.current, strict=True)]
    widest = max(range(len(gaps)), key=gaps.__getitem__)
    low, high = sorted((shape.reference[widest], shape.current[widest]))
    if gaps[widest] > 0:
        where = (at[widest] + x[widest + 2]) / 2  # in the middle of the step, where both are flat
        axes.plot([where, where], [low, high], color=GAP, linewidth=1.6, marker="_", markersize=6)
        left = where > (x[0] + x[-1]) / 2
        axes.annotate(
            f"gap {gaps[widest]:.2f}", (where, (low + high) / 2), xytext=(-6 if left else 6, 0),
            textcoords="offset points", ha="right" if left else "left", va="center", fontsize=SMALL, color=GAP,
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
        )  # fmt: skip
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel(clip(name, 60), fontsize=SMALL + 1, parse_math=False)
    axes.set_ylabel("rows at or below", fontsize=SMALL + 1)
    axes.grid(axis="y", color="#eaecf0", linewidth=0.8)
    axes.set_axisbelow(True)


def _bars(axes: Axes, shape: Shape) -> None:
    rows = sorted(zip(map(str, shape.at), shape.reference, shape.current, strict=True), key=lambda row: -max(row[1:]))
    kept, rest = rows[:MOST_BARS], rows[MOST_BARS:]
    if rest:
        kept.append((f"{len(rest)} others", sum(row[1] for row in rest), sum(row[2] for row in rest)))
    places = range(len(kept))
    thick = 0.38
    bars = (("reference", REFERENCE, 1, -thick / 2), ("now", CURRENT, 2, thick / 2))
    for label, colour, which, shift in bars:
        shares = [float(row[which]) for row in kept]
        axes.barh([place + shift for place in places], shares, height=thick, color=colour, label=label)
        for place, share in zip(places, shares, strict=True):
            axes.annotate(
                f"{share:.0%}" if share >= 0.01 or share == 0 else "<1%", (share, place + shift), xytext=(3, 0),
                textcoords="offset points", va="center", fontsize=SMALL - 1.5, color=colour,
            )  # fmt: skip
    names = [clip(drawable(row[0]), LONGEST_LABEL) for row in kept]
    axes.set_yticks(list(places), labels=names, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0, max(max(row[1:]) for row in kept) * 1.14 or 1.0)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("share of rows", fontsize=SMALL + 1)
    axes.grid(axis="x", color="#eaecf0", linewidth=0.8)
    axes.set_axisbelow(True)


def drawable(text: str) -> str:
    """Return the text with a box for every character that the font does not have."""
    has = _glyphs()
    return "".join(character if ord(character) in has else "▯" for character in text)


@cache
def _glyphs() -> frozenset[int]:
    """Return the code points of DejaVu Sans, the font that matplotlib contains and draws with."""
    faces = (FT2Font(f"{get_data_path()}/fonts/ttf/DejaVuSans{face}.ttf") for face in ("", "-Bold"))
    regular, bold = (frozenset(face.get_charmap()) for face in faces)
    return regular & bold


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(out, format="png", metadata={"Software": None})
    return _fewer_colours(out.getvalue())


def _fewer_colours(png: bytes) -> bytes:
    """Return the picture with a palette: a third of the size, without a visible difference."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").quantize(colors=64).save(out, format="PNG", optimize=True, dpi=(DPI, DPI))
    return out.getvalue()
