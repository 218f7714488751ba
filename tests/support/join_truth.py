"""What the source logs of a join come to, recomputed in plain Python, a record at a time."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeGuard
from zlib import crc32

import numpy as np

from app.core.panes.score_grid import score_grid
from app.core.reference.layout import Layout, layout_of
from app.core.reference.profile import ColumnProfile, Profile
from tests.support.join_log import MODELS, PANES, PROFILES, Producer, Registry
from tests.support.reports import StubRecord

FIXED_POINT = 2**20
SPELLED = {"NaN": None, "Infinity": float("inf"), "-Infinity": float("-inf")}

Cell = tuple[str, str, float, int]
"""Version, kind of pane, its start, partition."""


@dataclass
class Total:
    """What one pane of one partition counts."""

    n: int = 0
    slots: Counter[int] = field(default_factory=Counter)
    sums: list[int] = field(default_factory=list)
    names: Counter[tuple[str, str]] = field(default_factory=Counter)
    sums_of: Counter[int] = field(default_factory=Counter)
    """Exact sums, by where their limbs begin."""

    def add(
        self,
        slots: Sequence[int],
        sums: Sequence[int],
        names: Sequence[tuple[str, str]] = (),
        exact: Sequence[tuple[int, float, int]] = (),
    ) -> None:
        """Count one row. `exact`: where a sum's limbs begin, a number, and to which power it enters."""
        self.n += 1
        self.slots.update(slots)
        for start, number, power in exact:
            units = int(Fraction(number) ** power * 2 ** (1074 * power))
            self.sums_of[start] += units
        self.sums = [a + b for a, b in zip(self.sums or [0] * len(sums), sums, strict=True)]
        self.names.update(names)


@dataclass
class Tallies:
    """What one model version's progress in one partition must say. `unjoined`: ends of panes that lack truth."""

    predictions: int = 0
    feedback: int = 0
    duplicates: int = 0
    late: int = 0
    newest: float = float("-inf")
    unjoined: list[float] = field(default_factory=list)


@dataclass
class Truth:
    """All totals and all tallies; offsets (partition, topic, offset) of what must be a dead letter."""

    totals: dict[Cell, Total] = field(default_factory=dict)
    tallies: dict[tuple[str, int], Tallies] = field(default_factory=dict)
    rejected: set[tuple[int, int, int]] = field(default_factory=set)


def truth(producer: Producer, registry: Registry) -> Truth:
    """What the logs come to: predictions in their order, then of each the last feedback of its id in time."""
    found = Truth()
    for partition in range(producer.partitions):
        kept = _predictions(found, registry, partition, producer.logs[partition, 0])
        answers = _answers(found, registry, partition, producer.logs[partition, 1], kept)
        for (version, key), (pane, event) in kept.items():
            tally = found.tallies[version, partition]
            silence, end = registry.silence(version), pane + PANES[version]
            if (version, key) not in answers:
                if silence is None or end + silence.after > tally.newest:
                    tally.unjoined.append(end)
                    continue
                answers[version, key] = silence.value
            else:
                tally.feedback += 1
            total = found.totals.setdefault((version, "outcome", pane, partition), Total())
            total.add(*outcome(PROFILES[version], event, answers[version, key]))
    return found


Scoped = tuple[str, str]
"""Version, id."""
Kept = dict[Scoped, tuple[float, dict[str, Any]]]


def _predictions(found: Truth, registry: Registry, partition: int, log: Sequence[StubRecord]) -> Kept:
    kept: Kept = {}
    for record in log:
        event = json.loads(record.value or b"")
        if "model_version" not in event:
            found.rejected.add((partition, 0, record.offset))
            continue
        version, time = event["model_version"], event["timestamp"]
        tally = found.tallies.setdefault((version, partition), Tallies())
        tally.newest = max(tally.newest, time)
        if record.headers:
            continue
        size, windows = PANES[version], registry.windows(version)
        pane = time // size * size
        if pane + size + windows.most_late <= tally.newest:
            tally.late += 1
            found.rejected.add((partition, 0, record.offset))
        elif (version, event["prediction_id"]) in kept:
            tally.duplicates += 1
        else:
            tally.predictions += 1
            kept[version, event["prediction_id"]] = (pane, event)
            total = found.totals.setdefault((version, "input", pane, partition), Total())
            total.add(*inputs(layout_of(PROFILES[version]), event))
    return kept


def _answers(
    found: Truth, registry: Registry, partition: int, log: Sequence[StubRecord], kept: Kept
) -> dict[Scoped, object]:
    answers: dict[Scoped, object] = {}
    for record in log:
        event = json.loads(record.value or b"")
        if "actual" not in event:
            found.rejected.add((partition, 1, record.offset))
            continue
        for version in PROFILES:
            scoped = (version, event["prediction_id"])
            if scoped not in kept or event.get("model") not in (None, MODELS[version]):
                continue
            last = kept[scoped][0] + PANES[version] + registry.windows(version).retention
            if "timestamp" not in event or event["timestamp"] <= last:
                answers[scoped] = event["actual"]
    return answers


def spelled(value: object) -> str:
    """A category as text: JSON's booleans, whole numbers without a point."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    return str(value)


def label(profile: Profile, value: object) -> str:
    """A label as text; of models whose labels are "0" and "1" a truth value is the number."""
    return spelled(int(value) if isinstance(value, bool) and set(profile.labels) <= {"0", "1"} else value)


def inputs(layout: Layout, event: dict[str, Any]) -> tuple[list[int], list[int], list[tuple[str, str]]]:
    """Slots, sums and unexpected names of one prediction."""
    profile = layout.profile
    probability = event.get("probability")
    if isinstance(probability, dict):
        probability = probability.get(profile.labels[1])
    values = [event["features"].get(column.name) for column in profile.features] + [event["prediction"]]
    values += [probability] if profile.probability is not None else []
    slots, sums, names = list[int](), list[int](), list[tuple[str, str]]()
    offset = 0
    for column, value in zip(profile.columns, values, strict=True):
        size = 2 * len(column.values) + 5 if column.kind == "numeric" else len(column.categories) + 3
        if column.kind == "numeric":
            slot, number = numeric(column, value, size)
            scaled = 0.0 if number is None else max(-1024.0, min(1024.0, (number - column.centre) / column.scale))
            sums += [round(scaled * FIXED_POINT), round(scaled * scaled * FIXED_POINT)]
        else:
            slot = categorical(column, value, size)
            names += [(column.name, spelled(value))] if slot == size - 3 else []
        slots.append(offset + slot)
        offset += size
    known = {column.name for column in profile.features}
    names += [("", name) for name in event["features"] if name not in known]
    mass = [0, 0]
    if profile.task == "binary" and label(profile, event["prediction"]) in profile.labels and probability is not None:
        mass[profile.labels.index(label(profile, event["prediction"]))] = round(probability * FIXED_POINT)
    return slots, sums + mass, names


def numeric(column: ColumnProfile, value: object, size: int) -> tuple[int, float | None]:
    """The slot of a number among the reference's values; the number, None where there is none."""
    if isinstance(value, str) and value in SPELLED:
        value = SPELLED[value]
    if value is None:
        return size - 2, None
    if isinstance(value, (bool, str)) or not isinstance(value, (int, float)):
        return size - 1, None
    if value in (float("inf"), float("-inf")):
        return (size - 3 if value > 0 else 0), value
    below = bisect_left(column.values, value)
    return 2 * below + 1 + (value in column.values), value


def categorical(column: ColumnProfile, value: object, size: int) -> int:
    """The slot of a category."""
    if value is None:
        return size - 2
    return column.categories.index(spelled(value)) if spelled(value) in column.categories else size - 3


BUCKETS = 8192
GRID = score_grid(np.array([0.1, 0.4, 0.6, 0.7, 0.9]))
EPSILON = 2.0**-52


def outcome(
    profile: Profile, event: dict[str, Any], actual: object
) -> tuple[list[int], list[int], list[tuple[str, str]], list[tuple[int, float, int]]]:
    """Slots, sums, unknown labels and exact sums of one prediction with its truth."""
    if profile.task == "regression":
        return _regression(event["prediction"], actual)
    k = len(profile.labels)
    predicted, code = _code(profile, event["prediction"]), _code(profile, actual)
    unknown = k * k + 2 * k
    names = [(name, label(profile, value)) for name, value, c in (
        ("prediction", event["prediction"], predicted), ("actual", actual, code)) if c >= k]  # fmt: skip
    slots = []
    if code < k and predicted < k:
        slots = [code * k + predicted]
    if code < k <= predicted:
        slots = [k * k + code, unknown + BUCKETS + predicted - k]
    if predicted < k <= code:
        slots = [k * k + k + predicted, unknown + code - k]
    if predicted >= k and code >= k:
        slots = [unknown + code - k, unknown + BUCKETS + predicted - k]
        slots += [unknown + 2 * BUCKETS + code - k] if code == predicted else []
    if profile.probability is None:
        return slots, [], names, []
    p = event.get("probability")
    p = p.get(profile.labels[1]) if isinstance(p, dict) else p
    grid = GRID
    first = unknown + 3 * BUCKETS
    reasons = first + 2 * grid.size + 4
    if p is None or code >= k:
        return [*slots, reasons + (0 if p is None else 2)], [], names, []
    slots.append(first + code * grid.size + int(grid.of(np.array([float(p)]))[0]))
    given = min(max(p if code else 1.0 - p, EPSILON), 1.0 - EPSILON)
    return slots, [], names, [(reasons + 3, (code - p) ** 2, 1), (reasons + 69, -float(np.log(given)), 1)]


def _code(profile: Profile, value: object) -> int:
    name = label(profile, value)
    return (
        profile.labels.index(name) if name in profile.labels else len(profile.labels) + crc32(name.encode()) % BUCKETS
    )


def _regression(
    prediction: object, actual: object
) -> tuple[list[int], list[int], list[tuple[str, str]], list[tuple[int, float, int]]]:
    value = SPELLED.get(prediction) if isinstance(prediction, str) else prediction
    if not _is_number(value) or abs(value) == float("inf"):
        return [1], [], [], []
    actual = float(actual) if actual in ("0", "1") else actual  # a text of a number is the number
    if not _is_number(actual):
        return [3], [], [], []
    error, y = abs(actual - value), float(actual)
    return [], [], [], [(4, error, 1), (70, error, 2), (202, y, 1), (268, y, 2)]


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
