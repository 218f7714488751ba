"""A run of `predictions` records into one batch of columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from msgspec import Raw, Struct

from app.core.counting import Scalar
from app.core.joining import MICROSECONDS, PredictionBatch, Watched
from app.ingest.decoding import EARLIEST, LATEST, LinesDecoder, Record, Rejected, ids_of, wrong_key
from app.ingest.features import FeaturesDecoder, pick
from topics.events import Heartbeat, Name, Timestamp, to_epoch

HEARTBEAT = ("driftline", b"heartbeat")
"""The record header that tells a heartbeat from a prediction."""


class Head(Struct, frozen=True, gc=False):
    """A PredictionEvent with its features left as they came."""

    prediction_id: Name
    model: Name
    model_version: Name
    timestamp: Timestamp
    features: Raw
    prediction: str | float | bool
    probability: float | dict[str, float] | None = None
    metadata: dict[str, Scalar] | None = None


_HEADS = LinesDecoder(Head)
_HEARTBEATS = LinesDecoder(Heartbeat)


def is_heartbeat(record: Record) -> bool:
    """Whether a record is a heartbeat."""
    return bool(record.headers) and HEARTBEAT in record.headers


def heartbeat_of(record: Record) -> Heartbeat | Rejected:
    """The heartbeat in a record."""
    found = _HEARTBEATS.decode_one(record.value or b"")
    if isinstance(found, str):
        return Rejected(record, found)
    return found if _believable(to_epoch(found.timestamp)) else Rejected(record, _UNBELIEVABLE)


class Heads(Struct):
    """The sound records of a run and their heads, and the records that are not."""

    records: list[Record]
    heads: list[Head]
    rejected: list[Rejected]

    def versions(self) -> set[tuple[str, str]]:
        """The model versions that occur."""
        return {(head.model, head.model_version) for head in self.heads}


def heads_of(records: Sequence[Record]) -> Heads:
    """Decode everything but the features."""
    heads = _HEADS.decode([record.value or b"" for record in records])
    if heads is not None and _keys_fit(records, heads):
        return Heads(list(records), heads, [])
    found = Heads([], [], [])
    for record in records:
        head = "the record has no value" if record.value is None else _HEADS.decode_one(record.value)
        reason = head if isinstance(head, str) else wrong_key(record.key, head.prediction_id)
        if isinstance(head, str) or reason:
            found.rejected.append(Rejected(record, reason))
            continue
        found.records.append(record)
        found.heads.append(head)
    return found


def _keys_fit(records: Sequence[Record], heads: Sequence[Head]) -> bool:
    keys = [record.key for record in records]
    if None in keys:
        return False
    return (
        b"\n".join(key for key in keys if key is not None) == "\n".join([head.prediction_id for head in heads]).encode()
    )


def _believable(seconds: float) -> bool:
    return EARLIEST <= seconds < LATEST


_UNBELIEVABLE = "`timestamp` is outside 1970 to 2100: epoch timestamps are in seconds, not milliseconds"


class PredictionColumns:
    """Makes batches: knows each watched model version's decoder."""

    def __init__(self, watched: Sequence[Watched], number_of: Callable[[str, str], int | None]) -> None:
        self._watched = watched
        self._number_of = number_of
        self._decoders: dict[int, FeaturesDecoder] = {}

    def batch(self, found: Heads) -> tuple[PredictionBatch, list[Rejected], list[Record]]:
        """The batch, the rejected records, and the records of the batch in its order."""
        rejected = list(found.rejected)
        models = [self._number_of(head.model, head.model_version) for head in found.heads]
        times = [
            t if type(t) is float else t.timestamp()  # type: ignore[union-attr]
            for t in [head.timestamp for head in found.heads]
        ]
        reasons: dict[int, str] = {}
        for i in [i for i, model in enumerate(models) if model is None]:
            head = found.heads[i]
            reasons[i] = f"unknown `model_version`: {head.model} {head.model_version} is not registered"
        if times and not (min(times) >= EARLIEST and max(times) < LATEST):
            reasons |= {i: _UNBELIEVABLE for i, time in enumerate(times) if not _believable(time)}
        columns, unknown = self._columns(found.heads, models, reasons)
        kept = [i for i in range(len(found.heads)) if i not in reasons]
        rejected += [Rejected(found.records[i], reason) for i, reason in sorted(reasons.items())]
        records = found.records if not reasons else [found.records[i] for i in kept]
        position = {row: i for i, row in enumerate(kept)} if unknown else {}
        batch = PredictionBatch(
            ids=ids_of([record.key or b"" for record in records]),
            model=np.array([models[i] for i in kept], np.int16),
            time=np.rint(np.array([times[i] for i in kept], np.float64) * MICROSECONDS).astype(np.int64),
            columns=columns,
            unknown={m: [(position[row], name) for row, name in names] for m, names in unknown.items()},
        )
        return batch, rejected, records

    def _columns(
        self, heads: Sequence[Head], models: Sequence[int | None], reasons: dict[int, str]
    ) -> tuple[dict[int, Sequence[Sequence[Scalar]]], dict[int, list[tuple[int, str]]]]:
        """Columns of each model's rows, and unknown features by row of the run. Adds to the reasons."""
        columns: dict[int, Sequence[Sequence[Scalar]]] = {}
        unknown: dict[int, list[tuple[int, str]]] = {}
        for number in {model for model in models if model is not None}:
            rows = [i for i, model in enumerate(models) if model == number and i not in reasons]
            of_model = [heads[i] for i in rows] if len(rows) < len(heads) else heads
            found = self._decoder(number).decode([head.features for head in of_model])
            probabilities, wrong = _probabilities(self._watched[number], of_model)
            made = [*found.columns, [head.prediction for head in of_model]]
            if self._watched[number].layout.probability is not None:
                made.append(probabilities)
            bad = found.rejected | wrong
            if bad:
                reasons |= {rows[i]: reason for i, reason in bad.items()}
                good = [i for i in range(len(rows)) if i not in bad]
                made = list(pick(made, good))
            columns[number] = made
            if found.unknown:
                unknown[number] = [(rows[i], name) for i, name in found.unknown if i not in bad]
        return columns, unknown

    def _decoder(self, number: int) -> FeaturesDecoder:
        decoder = self._decoders.get(number)
        if decoder is None:
            names = [column.name for column in self._watched[number].profile.features]
            decoder = self._decoders[number] = FeaturesDecoder(names)
        return decoder


def _probabilities(watched: Watched, heads: Sequence[Head]) -> tuple[list[Scalar], dict[int, str]]:
    """Probabilities of the positive class, and what is wrong with some, by position."""
    raw = [head.probability for head in heads]
    if set(map(type, raw)) == {float}:
        numbers: list[Scalar] = list(raw)  # type: ignore[arg-type]
    else:
        positive = watched.profile.labels[-1] if watched.profile.labels else ""
        numbers = [p.get(positive) if isinstance(p, dict) else p for p in raw]
    present = np.array(numbers, np.float64)
    with np.errstate(invalid="ignore"):
        outside = np.flatnonzero((present < 0.0) | (present > 1.0))
    return numbers, dict.fromkeys(outside.tolist(), "`probability` is not between 0 and 1")
