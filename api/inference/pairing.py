"""Halves of an inference wait for each other, bounded in number, bytes and time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from api.cloud_events import Envelope

REQUEST, RESPONSE = "org.kubeflow.serving.inference.request", "org.kubeflow.serving.inference.response"
MOST_HALVES = 20_000
MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Half:
    """A request or a response, with what its URL says of the model. `arrived` is in seconds of a monotonic clock."""

    envelope: Envelope
    model: str | None
    model_version: str | None
    arrived: float

    @classmethod
    def of(cls, envelope: Envelope, model: str | None, model_version: str | None, arrived: float) -> Half:
        """A half with its data alone: the rest of the body that it came in is not kept."""
        alone = msgspec.structs.replace(envelope, data=msgspec.Raw(envelope.content), data_base64=None)
        return cls(alone, model, model_version, arrived)

    @property
    def size(self) -> int:
        """Bytes, roughly."""
        return len(self.envelope.content) + 500


class Pair(NamedTuple):
    """The two halves of one inference."""

    request: Half
    response: Half


class Unpaired(NamedTuple):
    """A half that waits no longer, and why."""

    half: Half
    reason: str


def is_inference(envelope: Envelope) -> bool:
    """Whether an event is a half."""
    return envelope.type in (REQUEST, RESPONSE)


class Pairing:
    """Halves by their event's id, oldest first."""

    def __init__(self, seconds: float, *, most_halves: int = MOST_HALVES, most_bytes: int = MOST_BYTES) -> None:
        self._seconds = seconds
        self._most_halves, self._most_bytes = most_halves, most_bytes
        self._waiting: dict[str, Half] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def meet(self, half: Half) -> Pair | None:
        """The pair, if the other half is here; else this one waits. The same half again changes nothing."""
        known = self._waiting.get(half.envelope.id)
        if known is None:
            self.put(half)
            return None
        if known.envelope.type == half.envelope.type:
            return None
        self._take(half.envelope.id)
        return Pair(known, half) if known.envelope.type == REQUEST else Pair(half, known)

    def put(self, half: Half) -> None:
        """Let a half wait, or wait again."""
        if half.envelope.id not in self._waiting:
            self._waiting[half.envelope.id] = half
            self._bytes += half.size

    def over(self, now: float) -> list[Unpaired]:
        """Take out what has waited too long, and the oldest of what is too much."""
        found: list[Unpaired] = []
        for half in self._oldest():
            if now - half.arrived >= self._seconds:
                reason = f"its {_other(half)} has not come within {self._seconds:g} s"
            elif len(self._waiting) > self._most_halves or self._bytes > self._most_bytes:
                reason = f"its {_other(half)} has not come, and too many others wait for theirs"
            else:
                break
            self._take(half.envelope.id)
            found.append(Unpaired(half, reason))
        return found

    def end(self) -> list[Unpaired]:
        """Take out all, at the process's end."""
        found = [Unpaired(half, f"the API stopped before its {_other(half)} came") for half in self._oldest()]
        self._waiting.clear()
        self._bytes = 0
        return found

    def _oldest(self) -> Iterator[Half]:
        return iter(list(self._waiting.values()))

    def _take(self, number: str) -> None:
        self._bytes -= self._waiting.pop(number).size


def _other(half: Half) -> str:
    return "response" if half.envelope.type == REQUEST else "request"
