"""Pairing of the requests and responses of inferences, which come separately and in any order.

The state is a function of the halves read so far and of their broker times: it holds no clock.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

OVERHEAD_BYTES = 2900
"""Memory of a waiting half in addition to its payload, in bytes: 2,818 measured, with a key and eight named headers."""
MADE_BYTES = 500
"""Memory of a pair while it is remembered, in bytes (490 measured)."""


@dataclass(frozen=True, slots=True)
class Half(Generic[T]):
    """One half: a request or a response. `inference`: the key of both halves; `at`: the broker time in milliseconds.

    `digest` is equal for equal payloads; `size` is the payload's in bytes.
    """

    inference: Hashable
    is_response: bool
    offset: int
    at: int
    size: int
    digest: Hashable
    content: T


class Pair(NamedTuple, Generic[T]):
    """A pair: the two halves of one inference."""

    request: Half[T]
    response: Half[T]


class HalfOutcome(Enum):
    """Outcome for a half that makes no pair."""

    WAITS = "waits"
    REPEATED = "repeated"
    """The same half has come before."""
    DIFFERS = "differs"
    """A half of the same inference and side has come before, with another payload."""


class GivenUp(NamedTuple, Generic[T]):
    """A half that does not wait any more. `in_time`: removed for lack of memory, before its time had passed."""

    half: Half[T]
    in_time: bool


class _Seen(NamedTuple):
    """The data that is remembered of a half: all but its payload."""

    is_response: bool
    offset: int
    at: int
    digest: Hashable


class _Made(NamedTuple):
    at: int
    digests: tuple[Hashable, Hashable]
    """Digests of the request and of the response."""


class Pairing(Generic[T]):
    """Pairing of the halves of one partition: those with broker times less than `window` milliseconds apart meet.

    A pair is remembered for `window`, so that a repeated half is recognised.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._waiting: OrderedDict[Hashable, Half[T]] = OrderedDict()
        self._made: OrderedDict[Hashable, _Made] = OrderedDict()
        self._firsts: deque[tuple[int, int]] = deque()
        """Time and first offset of the remembered pairs that no later pair has a lower offset than."""
        self._replayed: dict[Hashable, _Seen] = {}
        self._bytes = 0
        self.reached = 0
        """The newest broker time."""

    def __len__(self) -> int:
        """Return the number of waiting halves."""
        return len(self._waiting)

    @property
    def bytes(self) -> int:
        """Return the approximate memory of halves and pairs, in bytes."""
        return self._bytes + MADE_BYTES * len(self._made)

    @property
    def waiting(self) -> list[int]:
        """Return the offsets of the waiting halves, ascending."""
        return [half.offset for half in self._waiting.values()]

    @property
    def first(self) -> int | None:
        """Return the first offset that is needed to rebuild this state; None where none is."""
        needed = [half.offset for half in islice(self._waiting.values(), 1)]
        needed += [offset for _, offset in islice(self._firsts, 1)]
        return min(needed, default=None)

    def take(self, half: Half[T]) -> Pair[T] | HalfOutcome:
        """Take the next half; return the pair that it makes, or why it makes none.

        Halves that have expired by its time must be removed first (`over`).
        """
        self.reached = max(self.reached, half.at)
        made = self._made.get(half.inference)
        if made is not None:
            return HalfOutcome.REPEATED if made.digests[half.is_response] == half.digest else HalfOutcome.DIFFERS
        known = self._waiting.get(half.inference)
        if known is None:
            self._put(half)
            return HalfOutcome.WAITS
        if known.is_response == half.is_response:
            return HalfOutcome.REPEATED if known.digest == half.digest else HalfOutcome.DIFFERS
        self._remove(known)
        self._remember(half.inference, _seen(known), _seen(half))
        return Pair(half, known) if known.is_response else Pair(known, half)

    def over(self, now: int) -> list[GivenUp[T]]:
        """Remove and return the halves that have expired at `now`; forget the pairs that are as old."""
        now = max(now, self.reached)
        found: list[GivenUp[T]] = []
        while self._waiting and now - (oldest := next(iter(self._waiting.values()))).at >= self._window:
            self._remove(oldest)
            found.append(GivenUp(oldest, in_time=False))
        while self._made and now - next(iter(self._made.values())).at >= self._window:
            self._made.popitem(last=False)
        while self._firsts and now - self._firsts[0][0] >= self._window:
            self._firsts.popleft()
        return found

    def beyond(self, most: int) -> list[GivenUp[T]]:
        """Free memory until at most `most` bytes are used. Return the halves that were given up.

        Pairs are forgotten first, the oldest first; then halves are given up.
        """
        while self._made and self.bytes > most:
            self._made.popitem(last=False)
        found: list[GivenUp[T]] = []
        while self._waiting and self.bytes > most:
            oldest = next(iter(self._waiting.values()))
            self._remove(oldest)
            found.append(GivenUp(oldest, in_time=True))
        return found

    def forget(self, pair: Pair[T]) -> None:
        """Forget a pair that led to nothing: its halves may be sent again."""
        self._made.pop(pair.request.inference, None)

    # Rebuilding the state

    def replay(self, half: Half[T], *, waits: bool) -> None:
        """Take a half again after a restart: one that still waits, or belongs to a pair that was made, or to none."""
        self.reached = max(self.reached, half.at)
        if waits:
            self._put(half)
            return
        made = self._made.get(half.inference)
        if made is not None and self.reached - made.at < self._window:
            return  # it repeated a half of that pair
        known = self._replayed.get(half.inference)
        if known is None or self.reached - known.at >= self._window:
            self._replayed[half.inference] = _seen(half)
            return
        if known.is_response == half.is_response:
            return  # it repeated the one that waited
        del self._replayed[half.inference]
        self._remember(half.inference, known, _seen(half))

    def replayed(self) -> None:
        """Finish the replay: halves without a partner by now had been given up."""
        self._replayed.clear()

    def _put(self, half: Half[T]) -> None:
        self._waiting[half.inference] = half
        self._bytes += half.size + OVERHEAD_BYTES

    def _remove(self, half: Half[T]) -> None:
        del self._waiting[half.inference]
        self._bytes -= half.size + OVERHEAD_BYTES

    def _remember(self, inference: Hashable, one: _Seen, other: _Seen) -> None:
        request, response = (other, one) if one.is_response else (one, other)
        first = min(one.offset, other.offset)
        self._made[inference] = _Made(self.reached, (request.digest, response.digest))
        while self._firsts and self._firsts[-1][1] >= first:
            self._firsts.pop()
        self._firsts.append((self.reached, first))


def _seen(half: Half[T]) -> _Seen:
    return _Seen(half.is_response, half.offset, half.at, half.digest)
