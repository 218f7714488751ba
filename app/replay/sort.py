"""Sorting of an event stream by time, in bounded memory: sorted parts on the disk, which are merged."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO

import msgspec
import numpy as np

from app.replay.check import Stream
from app.replay.encode import Encoded

RUN = 100_000
"""Number of events that are sorted in memory at a time."""
BLOCK = 2_000
"""Number of events of a sorted part that are in memory during the merge."""


class _Block(msgspec.Struct, array_like=True):
    times: bytes
    keys: list[bytes]
    values: list[bytes]


_decode = msgspec.msgpack.Decoder(_Block).decode


def in_order(stream: Stream) -> Iterator[Encoded]:
    """Yield a stream's events in the order of their times; events with equal times keep the file's order."""
    timed = _timed(stream)
    return timed if stream.is_sorted else _sorted(timed)


def _timed(stream: Stream) -> Iterator[Encoded]:
    """Yield the chunks with the times at which their events are to be sent."""
    at = 0
    for chunk in stream.chunks():
        yield Encoded(stream.times[at : at + len(chunk)], chunk.keys, chunk.values)
        at += len(chunk)


def _sorted(chunks: Iterator[Encoded]) -> Iterator[Encoded]:
    with tempfile.TemporaryFile() as file:
        runs = [list(_written(file, run)) for run in _runs(chunks)]
        readers = [_read(file, places) for places in runs]
        yield from _merged(readers)


def _runs(chunks: Iterator[Encoded]) -> Iterator[Encoded]:
    held: list[Encoded] = []
    for chunk in chunks:
        held.append(chunk)
        if sum(map(len, held)) >= RUN:
            yield _in_time(held)
            held = []
    if held:
        yield _in_time(held)


def _in_time(parts: list[Encoded]) -> Encoded:
    times = np.concatenate([part.times for part in parts])
    keys = [key for part in parts for key in part.keys]
    values = [value for part in parts for value in part.values]
    order = np.argsort(times, kind="stable")
    rows = order.tolist()
    return Encoded(times[order], [keys[i] for i in rows], [values[i] for i in rows])


def _written(file: IO[bytes], run: Encoded) -> Iterator[tuple[int, int]]:
    """Write a sorted part block by block; yield each block's place and length."""
    rest = run
    while len(rest):
        block, rest = rest.cut(BLOCK)
        packed = msgspec.msgpack.encode(_Block(block.times.tobytes(), block.keys, block.values))
        yield file.seek(0, 2), file.write(packed)


def _read(file: IO[bytes], places: list[tuple[int, int]]) -> Iterator[Encoded]:
    for place, length in places:
        file.seek(place)
        block = _decode(file.read(length))
        yield Encoded(np.frombuffer(block.times, np.float64), block.keys, block.values)


def _merged(runs: list[Iterator[Encoded]]) -> Iterator[Encoded]:
    """Yield, round by round, the events that no unread event can precede.

    Of events with equal times, those of earlier parts come first.
    """
    heads = {i: head for i, run in enumerate(runs) if (head := next(run, None)) is not None}
    while heads:
        bound = min(float(head.times[-1]) for head in heads.values())
        due: list[Encoded] = []
        for i in list(heads):
            part, rest = heads[i].cut(int(np.searchsorted(heads[i].times, bound, side="right")))
            due.append(part)
            while not len(rest) and (following := next(runs[i], None)) is not None:
                part, rest = following.cut(int(np.searchsorted(following.times, bound, side="right")))
                due.append(part)
            if len(rest):
                heads[i] = rest
            else:
                del heads[i]
        yield _in_time(due)
