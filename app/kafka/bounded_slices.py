"""Consecutive parts of many values, each within a number of values and of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def bounded_slices(sizes: Iterable[int], most: int, most_bytes: int) -> Iterator[slice]:
    """Yield slices of at most `most` values and, where a slice has several, of at most `most_bytes` bytes.

    `sizes`: the bytes of each value.
    """
    start = size = end = 0
    for end, length in enumerate(sizes, 1):
        size += length
        if end - 1 > start and (end - 1 - start == most or size > most_bytes):
            yield slice(start, end - 1)
            start, size = end - 1, length
    if start < end:
        yield slice(start, end)
