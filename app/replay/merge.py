"""Merging of two streams of events, predictions and feedback, by event time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from app.replay.encode import Encoded

Source = Literal["predictions", "feedback"]


def merged(predictions: Iterator[Encoded], feedback: Iterator[Encoded]) -> Iterator[tuple[Source, Encoded]]:
    """Yield pieces of both streams in event-time order; each stream keeps its own order.

    At equal times, predictions come first. A stream that is not sorted is sent in its own order, at the time of its
    newest event so far. Events without a time come last. One chunk of each stream is kept in memory.
    """
    streams: dict[Source, Iterator[Encoded]] = {"predictions": _filled(predictions), "feedback": _filled(feedback)}
    heads: dict[Source, tuple[Encoded, Times]] = {}
    newest: dict[Source, float] = dict.fromkeys(streams, -np.inf)
    while True:
        for source, stream in streams.items():
            if source not in heads and (chunk := next(stream, None)) is not None:
                times = np.maximum(np.maximum.accumulate(chunk.times), newest[source])
                newest[source] = float(times[-1])
                heads[source] = (chunk, times)
        if not heads:
            return
        bound = min(float(times[-1]) for _, times in heads.values())
        for source in tuple(heads):
            chunk, times = heads.pop(source)
            at = int(np.searchsorted(times, bound, side="right"))
            due, rest = chunk.cut(at)
            if len(due):
                yield source, due
            if len(rest):
                heads[source] = (rest, times[at:])


Times = np.ndarray[tuple[int], np.dtype[np.float64]]


def _filled(stream: Iterator[Encoded]) -> Iterator[Encoded]:
    return (chunk for chunk in stream if len(chunk))
