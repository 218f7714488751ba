"""Table entries of what the windows agent has learned of a stream whose reference has no times.

A head has the list of the days, or what was learned of them. Each day has a value of its own, so that no value is
larger than a day.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import msgspec

from app.core.reference.usual import ReferenceUsual
from app.core.usual.live import LiveUsual
from app.core.usual.live_metrics import Drops
from app.core.usual.weeks import Weeks
from app.core.windows.model_windows import ModelWindows

PREFIX = "@usual "
"""Prefix of these keys in the table: model, version and profile follow, `columns` or `metrics`, then a day."""


class LearnedHead(msgspec.Struct, frozen=True, array_like=True):
    """Head of what is learned. `panes`: lengths of the spans; `pane`: in microseconds; `days`: the days that are kept.

    `learned`: what was learned, packed. `since`: the end (microseconds of event time) of the first window that is
    judged by what was learned.
    """

    pane: int
    panes: tuple[int, ...]
    days: tuple[int, ...]
    learned: bytes = b""
    since: int = 0


Key = tuple[str, str, str]
_heads = msgspec.msgpack.Decoder(LearnedHead)
_pack = msgspec.msgpack.Encoder().encode


def head_name(key: Key, kind: str) -> str:
    """Return the table's key of the head of what is learned of a profile, of its `columns` or `metrics`."""
    return f"{PREFIX}{'/'.join(key)}/{kind}"


def save(table: MutableMapping[str, bytes], key: Key, windows: ModelWindows) -> None:
    """Write what was learned since the last save: first the days, so that no head names a missing day."""
    if windows.learning is None:
        return
    for kind, weeks in _kinds(windows.learning):
        if weeks.unsaved or weeks.fresh:
            _save(table, head_name(key, kind), weeks, windows.pane)


def _save(table: MutableMapping[str, bytes], name: str, weeks: Weeks[Any], pane: int) -> None:
    days = tuple(sorted(weeks.days.days))
    if weeks.learned is None:
        for day in sorted(weeks.unsaved):
            table[f"{name}/{day}"] = weeks.days.packed(day)
        head = _pack(LearnedHead(pane, weeks.days.spans, days))
    else:
        head = _pack(LearnedHead(pane, weeks.days.spans, (), _pack(weeks.learned), (weeks.first + 1) * pane))
    if head != table.get(name):
        table[name] = head
    if weeks.learned is not None:
        _delete_days(table, name, days)
        weeks.days.days.clear()
    weeks.unsaved.clear()
    weeks.fresh = False


def restore(table: MutableMapping[str, bytes], key: Key, windows: ModelWindows) -> None:
    """Restore from the table what was learned. Days of windows of other lengths are dropped."""
    if windows.learning is None:
        drop(table, key)
        return
    for kind, weeks in _kinds(windows.learning):
        name = head_name(key, kind)
        head = table.get(name)
        known = _heads.decode(head) if head else None
        if known is None:
            continue
        if known.since:
            weeks.resume(msgspec.msgpack.decode(known.learned, type=_LEARNED[kind]), known.since // windows.pane - 1)
        elif (known.pane, known.panes) != (windows.pane, weeks.days.spans):
            _drop(table, name)
        else:
            for day in known.days:
                packed = table.get(f"{name}/{day}")
                if packed:
                    weeks.days.load(day, packed)
    windows.relearn()


def drop(table: MutableMapping[str, bytes], key: Key) -> None:
    """Delete everything learned of a profile."""
    for kind in _LEARNED:
        _drop(table, head_name(key, kind))


_LEARNED: dict[str, Any] = {"columns": ReferenceUsual, "metrics": Drops}


def _kinds(learning: LiveUsual) -> tuple[tuple[str, Weeks[Any]], ...]:
    return ("columns", learning.columns), ("metrics", learning.metrics)


def _drop(table: MutableMapping[str, bytes], name: str) -> None:
    head = table.get(name)
    if head:
        _delete_days(table, name, _heads.decode(head).days)
        del table[name]


def _delete_days(table: MutableMapping[str, bytes], name: str, days: tuple[int, ...]) -> None:
    for day in days:
        if f"{name}/{day}" in table:
            del table[f"{name}/{day}"]
