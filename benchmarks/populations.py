"""Rows that never drift, and the same rows with a planted shift: census people, made-up columns, many categories.

A population is a finite list of rows. Reference and windows are drawn from it with replacement, so both come from
exactly the same distribution, columns together, with ties and missing values as they are in the rows.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.core.panes.inputs import InputCounter, Scalar
from app.core.panes.outcomes import OutcomeLayout, OutcomeRows, outcome_layout, outcome_rows
from app.core.profile_builder import build_profile
from app.core.reference.layout import Layout, layout_of
from app.core.reference.profile import Profile
from app.core.scales.categories import at_distance
from app.demo.census import CATEGORICAL, NUMERIC, TRUTH, census
from app.demo.model import predicted, train

Floats = NDArray[np.float64]
Column = Floats | list[str | None]

ROWS = 20_000
LAST_YEAR = 2018
KINDS = (2, 3, 5, 9, 12, 17, 25, 40)
"""Numbers of categories of made-up columns."""


@dataclass(frozen=True)
class Population:
    """N rows: features by name (arrays are numeric), the model's outputs, the truth (0 or 1)."""

    name: str
    features: Mapping[str, Column]
    prediction: NDArray[np.int64]
    probability: Floats
    actual: NDArray[np.int64]

    @property
    def n(self) -> int:
        """Its rows."""
        return len(self.prediction)


def census_people(seed: int = 1) -> Population:
    """Census people of 2015 whom the demo's model has not seen, with what it says of them."""
    return _census("census, 16 features", train(census()[0]).reference, seed)


def census_years(seed: int = 1) -> tuple[Population, Population]:
    """Census people of 2015 whom the demo's model has not seen, and those of 2018."""
    before, after = census()
    model = train(before)
    later = predicted(model.pipeline, after[after["year"] == LAST_YEAR])
    return _census("census, 2015", model.reference, seed), _census("census, 2018", later, seed)


def _census(name: str, people: pd.DataFrame, seed: int) -> Population:
    people = people.iloc[np.random.default_rng(seed).permutation(len(people))[:ROWS]]
    features: dict[str, Column] = {name: people[name].to_numpy(np.float64) for name in NUMERIC}
    features |= {name: [str(value) for value in people[name]] for name in CATEGORICAL}
    return Population(
        name, features, people["prediction"].to_numpy(np.int64),
        people["probability"].to_numpy(np.float64), people[TRUTH].to_numpy(np.int64),
    )  # fmt: skip


def made_up(features: int, seed: int = 2, rows: int = ROWS) -> Population:
    """Two thirds numeric, a third categorical; half of the columns hang together through one hidden factor."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=rows)
    made: dict[str, Column] = {}
    score = np.zeros(rows)
    for i in range(features):
        share = 0.6 if i % 2 else 0.0
        hidden = share * factor + np.sqrt(1.0 - share**2) * rng.normal(size=rows)
        score += hidden * (1.0 if i % 5 == 0 else 0.0)
        made[f"x{i}"] = _category(hidden, KINDS[i // 3 % len(KINDS)], rng) if i % 3 == 2 else _number(hidden, i)
    score /= max(score.std(), 1e-9)
    probability = 1.0 / (1.0 + np.exp(-2.0 * score))
    actual = (rng.random(rows) < probability).astype(np.int64)
    return Population(f"made up, {features} features", made, (probability >= 0.5).astype(np.int64), probability, actual)


def _number(hidden: Floats, i: int) -> Floats:
    """Normal, log-normal, or rounded with 5 % missing, in turn."""
    if i % 4 == 0:
        return hidden
    if i % 4 == 1:
        return np.exp(hidden)
    if i % 4 == 2:
        return np.round(hidden * 10.0)
    return np.where(np.arange(len(hidden)) % 20 == 0, np.nan, np.round(hidden, 2))


def _category(hidden: Floats, kinds: int, rng: np.random.Generator) -> list[str | None]:
    """Cut into categories whose sizes fall as 1/rank (Zipf), so that some are rare."""
    shares = 1.0 / np.arange(1, kinds + 1)
    edges = np.quantile(hidden, np.cumsum(shares / shares.sum())[:-1])
    order = rng.permutation(kinds)
    return [f"c{order[code]}" for code in np.searchsorted(edges, hidden)]


MANY = (("flat", 200), ("flat", 1_000), ("flat", 2_000), ("zipf", 200), ("zipf", 1_000), ("zipf", 2_000))
"""How the columns of many categories are distributed, and over how many."""
ZIPF = 1.1
"""Shares fall as 1/rank to this."""


def many_categories(name: str, columns: Sequence[tuple[str, int]] = MANY, seed: int = 3) -> Population:
    """Columns of many categories, independent of each other and of the model's outputs."""
    rng = np.random.default_rng(seed)
    made: dict[str, Column] = {}
    for law, kinds in columns:
        shares = 1.0 / np.arange(1, kinds + 1) ** (ZIPF if law == "zipf" else 0.0)
        made[f"{law}{kinds}"] = [f"c{code}" for code in rng.choice(kinds, ROWS, p=shares / shares.sum()).tolist()]
    probability = rng.random(ROWS)
    actual = (rng.random(ROWS) < probability).astype(np.int64)
    return Population(name, made, (probability >= 0.5).astype(np.int64), probability, actual)


@dataclass(frozen=True)
class Watched:
    """A reference drawn from a population, and each row of the population in its slots.

    `inputs`: N x columns, positions in the input pane; `outcomes`: what each row counts in the outcome pane. `unseen`:
    of columns with categories that the reference does not have, each row's category among them, -1 where the reference
    has it; `names` are these categories.
    """

    population: Population
    layout: Layout
    outcome_layout: OutcomeLayout
    inputs: NDArray[np.int32]
    mass: NDArray[np.int64]
    outcomes: OutcomeRows
    unseen: Mapping[str, NDArray[np.int64]]
    names: Mapping[str, list[str]]


def watched(population: Population, reference_rows: int, rng: np.random.Generator) -> Watched:
    """Draw a reference and compile it."""
    rows = rng.integers(population.n, size=reference_rows)
    profile = build_profile(
        "m", "1", "binary", {name: _picked(column, rows) for name, column in population.features.items()},
        population.prediction[rows].tolist(), population.probability[rows], population.actual[rows].tolist(),
        labels=("0", "1"),
    )  # fmt: skip
    return compiled(population, profile)


def compiled(population: Population, profile: Profile) -> Watched:
    """A population in the slots of a reference."""
    layout, outcomes = layout_of(profile), outcome_layout(profile)
    columns: list[Floats | list[Scalar]] = [
        column if isinstance(column, np.ndarray) else list[Scalar](column) for column in population.features.values()
    ]
    counted = InputCounter(layout).count([*columns, [str(p) for p in population.prediction], population.probability])
    rows = outcome_rows(outcomes, population.prediction, population.probability, population.actual.astype(np.float64))
    unseen, names = {}, {}
    for name, (column, found, values) in counted.unseen.items():
        picked = [str(value) if yes else "" for value, yes in zip(values, found == column.unseen, strict=True)]
        known, codes = np.unique(picked, return_inverse=True)
        first = int(known[0] == "")
        names[name], unseen[name] = known[first:].tolist(), codes.astype(np.int64) - first
    return Watched(
        population, layout, outcomes, np.ascontiguousarray(counted.slots), counted.sums[:, -2:].copy(), rows, unseen,
        names,
    )  # fmt: skip


def _picked(column: Column, rows: NDArray[np.int64]) -> Column:
    return column[rows] if isinstance(column, np.ndarray) else [column[i] for i in rows.tolist()]


Shift = Callable[[Population, np.random.Generator], Population]


def moved(name: str, by: float) -> Shift:
    """A numeric column `by` of its standard deviations higher."""
    return lambda p, _: _with(p, name, _numbers(p, name) + by * np.nanstd(_numbers(p, name)))


def spread(name: str, factor: float) -> Shift:
    """A numeric column spread about its mean by a factor."""

    def shift(p: Population, _: np.random.Generator) -> Population:
        values = _numbers(p, name)
        return _with(p, name, np.nanmean(values) + factor * (values - np.nanmean(values)))

    return shift


def remixed(name: str, share: float) -> Shift:
    """A share of the rows, at random, becomes the column's second largest category."""

    def shift(p: Population, rng: np.random.Generator) -> Population:
        column = p.features[name]
        assert isinstance(column, list)
        names, counts = np.unique([value for value in column if value is not None], return_counts=True)
        second = str(names[np.argsort(-counts)[1]])
        turned = rng.random(p.n) < share
        return _with(p, name, [second if t else value for t, value in zip(turned.tolist(), column, strict=True)])

    return shift


def enlarged(name: str, points: float) -> Shift:
    """A column's largest category has a share so much larger; the rows come from all others alike."""

    def shift(p: Population, rng: np.random.Generator) -> Population:
        column = p.features[name]
        assert isinstance(column, list)
        largest, count = Counts(column).most_common(1)[0]
        turned = rng.random(p.n) < points / (1.0 - count / p.n)
        return _with(p, name, [largest if t else value for t, value in zip(turned.tolist(), column, strict=True)])

    return shift


def different(distance: float) -> Shift:
    """Every column so far from what it was: numbers by that KS statistic, categories by that Jensen-Shannon distance.

    Of numbers as many rows below the median become as the others are; of categories the second largest grows.
    """

    def shift(p: Population, rng: np.random.Generator) -> Population:
        changed = {
            name: _raised(column, distance, rng) if isinstance(column, np.ndarray) else _grown(column, distance, rng)
            for name, column in p.features.items()
        }
        return replace(p, features=changed)

    return shift


def _raised(column: Floats, share: float, rng: np.random.Generator) -> Floats:
    known = np.flatnonzero(~np.isnan(column))
    order = known[np.argsort(column[known], kind="stable")]
    low, high = order[: len(order) // 2], order[len(order) // 2 :]
    moved_rows = rng.choice(low, round(share * len(known)), replace=False)
    raised = column.copy()
    raised[moved_rows] = column[rng.choice(high, len(moved_rows))]
    return raised


def _grown(column: list[str | None], distance: float, rng: np.random.Generator) -> list[str | None]:
    counts = Counts(value for value in column if value is not None).most_common()
    second, n = counts[min(1, len(counts) - 1)]
    before = n / len(column)
    after = float(at_distance(np.array([(1.0 + before) / 2.0]), np.array([before]), distance)[0])
    turned = (rng.random(len(column)) < (after - before) / (1.0 - before)).tolist()
    return [second if t else value for t, value in zip(turned, column, strict=True)]


def missing(name: str) -> Shift:
    """A numeric column without any value."""
    return lambda p, _: _with(p, name, np.full(p.n, np.nan))


def multiplied(name: str, factor: float) -> Shift:
    """A numeric column in another unit."""
    return lambda p, _: _with(p, name, factor * _numbers(p, name))


def mislabelled(share: float) -> Shift:
    """A share of the truths, at random, turned round."""
    return lambda p, rng: replace(p, actual=p.actual ^ (rng.random(p.n) < share))


def _numbers(population: Population, name: str) -> Floats:
    column = population.features[name]
    assert isinstance(column, np.ndarray)
    return column


def _with(population: Population, name: str, column: Column) -> Population:
    return replace(population, features={**population.features, name: column})
