"""Small pictures as SVG text: a column's two distributions, and numbers over time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup, escape

from topics.events import FeatureDrift, Shape

WIDTH, TALL, LEFT, RIGHT, FOOT = 460.0, 170.0, 44.0, 12.0, 22.0
ROW = 34.0
SEEN = 0.004
"""Share of rows. Ends of a numeric axis with fewer rows than this, on both sides, are left out of the picture."""


def distribution(column: FeatureDrift) -> Markup:
    """Return a picture of both step functions with the gap between them, or of paired bars.

    Return an empty text where the column has no shape.
    """
    shape = column.shape
    if shape is None or not shape.at:
        return Markup()
    if column.kind == "categorical":
        return _bars(shape, column.name)
    return _steps(shape, [float(at) for at in shape.at], column.name)


def _steps(shape: Shape, at: list[float], name: str) -> Markup:
    low, high = _extent(at, shape)
    room = WIDTH - LEFT - RIGHT

    def x(value: float) -> float:
        return LEFT + room * (min(high, max(low, value)) - low) / (high - low)

    def y(share: float) -> float:
        return 8 + TALL * (1 - share)

    parts = [_level(y(share), f"{share:.0%}") for share in (0.0, 0.5, 1.0)]
    for side, shares in (("reference", shape.reference), ("current", shape.current)):
        path = f"M{x(low):.1f} {y(0):.1f}" + "".join(
            f"H{x(value):.1f}V{y(share):.1f}" for value, share in zip(at, shares, strict=True)
        )
        parts.append(Markup('<path class="step {}" d="{}H{}"/>').format(side, path, f"{x(high):.1f}"))
    gaps = [abs(now - before) for before, now in zip(shape.reference, shape.current, strict=True)]
    i = max(range(len(gaps)), key=gaps.__getitem__)
    place = x((at[i] + (at[i + 1] if i + 1 < len(at) else high)) / 2)
    parts.append(_line("gap", place, y(shape.reference[i]), place, y(shape.current[i])))
    middle, anchor = (y(shape.reference[i]) + y(shape.current[i])) / 2 + 4, "end" if place > WIDTH / 2 else "start"
    parts.append(_text("gap-words", place + (-7 if anchor == "end" else 7), middle, f"gap {gaps[i]:.3f}", anchor))
    for value, anchor in ((low, "start"), (high, "end")):
        parts.append(_text("", x(value), TALL + FOOT, f"{value:.4g}", anchor))
    return _svg(WIDTH, TALL + FOOT + 6, parts, f"{name}: shares of rows at or below; the largest gap is {gaps[i]:.3f}")


def _extent(at: list[float], shape: Shape) -> tuple[float, float]:
    both = list(zip(shape.reference, shape.current, strict=True))
    seen = [value for i, value in enumerate(at) if max(both[i]) > SEEN and (i == 0 or min(both[i - 1]) < 1.0 - SEEN)]
    first, last = (seen[0], seen[-1]) if len(seen) > 1 else (at[0], at[-1])
    pad = (last - first) * 0.04 or abs(first) * 0.1 or 1.0
    return first - pad, last + pad


def _bars(shape: Shape, name: str) -> Markup:
    left = 130.0
    room = WIDTH - left - 50
    largest = max((*shape.reference, *shape.current, 1e-9))
    parts: list[Markup] = []
    for i, (at, *shares) in enumerate(zip(shape.at, shape.reference, shape.current, strict=True)):
        top = i * ROW + 4
        parts.append(_text("ink", left - 8, top + 18, str(at)[:18], "end"))
        for k, (side, share) in enumerate(zip(("reference", "current"), shares, strict=True)):
            long = room * share / largest
            bar = Markup('<rect class="bar {}" x="{}" y="{}" width="{}" height="11" rx="2"/>')
            parts.append(bar.format(side, left, f"{top + k * 13 + 1:.1f}", f"{max(1.0, long):.1f}"))
            parts.append(_text("", left + long + 5, top + k * 13 + 10, f"{share:.0%}", "start"))
    words = ", ".join(f"{at} {before:.0%} to {now:.0%}" for at, before, now in
                      zip(shape.at, shape.reference, shape.current, strict=True))  # fmt: skip
    return _svg(WIDTH, len(shape.at) * ROW + 6, parts, f"{name}: {words}")


def over_time(values: Sequence[float | None], limit: float | None, chosen: int, name: str, high: float) -> Markup:
    """Return a picture of numbers from 0 to `high` with a limit. The window that the page is about is marked."""
    width, tall = 940.0, 90.0
    room = width - LEFT - RIGHT
    places = [LEFT + room * i / max(1, len(values) - 1) for i in range(len(values))]

    def y(value: float) -> float:
        return 8 + tall * (1 - min(value, high) / (high or 1))

    parts = [_level(y(value), f"{value:.0%}", width) for value in (0.0, high)]
    if limit is not None:
        parts.append(_line("limit", LEFT, y(limit), width - RIGHT, y(limit)))
    parts.append(_line("picked", places[chosen], 4, places[chosen], 8 + tall))
    known = [(x, value) for x, value in zip(places, values, strict=True)]
    for (x1, a), (x2, b) in pairwise(known):
        if a is not None and b is not None:
            parts.append(_line("share", x1, y(a), x2, y(b)))
    last = values[chosen]
    if last is not None:
        parts.append(Markup('<circle class="dot" cx="{}" cy="{}" r="3.5"/>').format(places[chosen], f"{y(last):.1f}"))
    return _svg(width, tall + 16, parts, name)


def _level(y: float, words: str, width: float = WIDTH) -> Markup:
    return _line("grid", LEFT, y, width - RIGHT, y) + _text("", LEFT - 7, y + 4, words, "end")


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    shape = Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>')
    return shape.format(kind, f"{x1:.1f}", f"{y1:.1f}", f"{x2:.1f}", f"{y2:.1f}")


def _text(kind: str, x: float, y: float, words: str, anchor: str) -> Markup:
    shape = Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>')
    return shape.format(kind, f"{x:.1f}", f"{y:.1f}", anchor, words)


def _svg(width: float, height: float, parts: Sequence[Markup], label: str) -> Markup:
    head = Markup('<svg role="img" aria-label="{}" viewBox="0 0 {} {}">').format(escape(label), width, height)
    return head + Markup("").join(parts) + Markup("</svg>")
