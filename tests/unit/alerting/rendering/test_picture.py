"""The picture of a column: it is drawn, small, and never an error."""

from __future__ import annotations

import io
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from app.alerting.rendering.picture import REFERENCE, picture_of
from app.alerting.rendering.rows import DriftRow
from tests.support.notifications import HOSTILE
from topics.events import Shape


def column(shape: Shape | None, *, categorical: bool = False, name: str = "age") -> DriftRow:
    return DriftRow(
        name, "KS distance 0.3 (threshold 0.1)", "p < 1e-12", "higher", "median 40", "median 48", categorical, shape
    )


def numeric(n: int, power: float = 2.0) -> Shape:
    shares = [(i + 1) / n for i in range(n)]
    return Shape(at=tuple(map(float, range(n))), reference=tuple(shares), current=tuple(s**power for s in shares))


def categories(*names: str) -> Shape:
    n = len(names)
    return Shape(at=names, reference=(1 / n,) * n, current=tuple(2 * (i + 1) / n / (n + 1) for i in range(n)))


def opened(png: bytes | None) -> Image.Image:
    assert png is not None
    assert len(png) < 60_000
    image = Image.open(io.BytesIO(png))
    image.load()
    assert image.format == "PNG"
    assert image.width == 960
    return image.convert("RGB")


def inked(image: Image.Image, colour: str) -> int:
    """Pixels of about a colour."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return int((np.abs(np.asarray(image).astype(int) - wanted).max(axis=2) < 12).sum())


@pytest.mark.parametrize("n", [2, 2000])
def test_numbers_are_two_curves_of_a_small_picture(n: int) -> None:
    image = opened(picture_of(column(numeric(n))))
    assert inked(image, REFERENCE) > 200


def test_categories_are_paired_bars_and_many_are_gathered() -> None:
    few, many = (
        opened(picture_of(column(categories(*(f"c{i}" for i in range(n))), categorical=True))) for n in (3, 40)
    )
    for image in (few, many):
        assert inked(image, REFERENCE) > 10_000


def test_the_curves_stand_where_their_shares_are() -> None:
    """A reference far below the window's values: its curve is at the top over the whole of the window's rise."""
    shape = Shape(at=(0.0, 1.0, 2.0, 3.0), reference=(1.0, 1.0, 1.0, 1.0), current=(0.0, 0.3, 0.6, 1.0))
    pixels = np.asarray(opened(picture_of(column(shape)))).astype(int)
    grey = np.abs(pixels - [0x66, 0x70, 0x85]).max(axis=2) < 12
    rows = np.flatnonzero(grey[:, 400:600].any(axis=1))
    assert rows.max() < pixels.shape[0] / 4


def test_any_name_can_be_drawn() -> None:
    names = (HOSTILE, "$x_1$ ^ \\frac", "価格 💥", "", "x" * 500, "שלום")
    opened(picture_of(column(categories(*names), categorical=True, name=HOSTILE)))
    opened(picture_of(column(numeric(1), name="$x_1$ ^ \\frac 価格 💥 " + "x" * 500)))


@pytest.mark.parametrize(
    "shape",
    [
        None,
        Shape(at=(), reference=(), current=()),
        Shape(at=(1.0, 2.0), reference=(0.5,), current=(0.5, 1.0)),
        Shape(at=(2.0, 1.0), reference=(0.5, 1.0), current=(0.5, 1.0)),
        Shape(at=(1.0, math.inf), reference=(0.5, 1.0), current=(0.5, 1.0)),
        Shape(at=(1.0, 2.0), reference=(0.5, math.nan), current=(0.5, 1.0)),
        Shape(at=("a", "b"), reference=(0.5, 1.0), current=(0.5, 1.0)),
    ],
)
def test_what_is_no_picture_is_none(shape: Shape | None) -> None:
    assert picture_of(column(shape)) is None


def test_several_threads_may_draw() -> None:
    with ThreadPoolExecutor(2) as pool:
        pictures = list(pool.map(lambda _: picture_of(column(numeric(20))), range(2)))
    assert len(set(pictures)) == 1
