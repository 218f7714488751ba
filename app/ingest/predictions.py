"""Conversion of `predictions` records to one batch of columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Literal, cast

import msgspec
import numpy as np
from msgspec import Raw, Struct
from numpy.typing import NDArray

from app.core.join.state import MICROSECONDS, CompiledModel, PredictionBatch
from app.core.panes.grouping import by_group
from app.core.panes.inputs import Scalar, Values, pick
from app.core.reference.layout import Floats
from app.core.reference.profile import Profile, judged_class
from app.core.values.reading import name_of
from app.core.values.times import believable
from app.ingest.decoding import (
    AHEAD,
    UNBELIEVABLE,
    LinesDecoder,
    Record,
    Rejected,
    broker_times,
    decode,
    ids_of,
    keys_fit,
    seconds_of,
    unregistered,
    wrong_key,
)
from app.ingest.features import MANY, FeaturesDecoder
from topics.events import Heartbeat, Name, Timestamp, to_epoch

_version_of: Callable[[Any], tuple[str, str]] = attrgetter("model", "model_version")
OUTSIDE = "`probability` is not between 0 and 1"
"""Reason for a record whose probability is invalid."""
LEARNING = ""
"""Reason for a prediction of a version that learns its reference: it is left out, and is no dead letter."""
HEARTBEAT = ("driftline", b"heartbeat")
"""Record header that distinguishes a heartbeat from a prediction."""


class Head(Struct, frozen=True, gc=False):
    """A PredictionEvent whose features are raw JSON."""

    prediction_id: Name
    model: Name
    model_version: Name
    timestamp: Timestamp
    features: Raw
    prediction: str | int | float | bool | None = None
    probability: float | dict[str, float] | None = None
    metadata: dict[str, Scalar] | None = None


_HEADS = LinesDecoder(Head)
_HEARTBEATS = msgspec.json.Decoder(Heartbeat)


def is_heartbeat(record: Record) -> bool:
    """Return whether a record is a heartbeat."""
    return HEARTBEAT in record.headers


def heartbeat_of(record: Record) -> Heartbeat | Rejected:
    """Return the heartbeat in a record; or the record as rejected."""
    found = decode(record, _HEARTBEATS)
    if isinstance(found, Rejected) or believable(to_epoch(found.timestamp)):
        return found
    return Rejected(record, UNBELIEVABLE)


class DecodedHeads(Struct):
    """Sound records of a batch with their heads, and the rejected records.

    `alone`: the decoder of the one model version that all records have. It has decoded their features already.
    """

    records: list[Record]
    heads: list[Head]
    rejected: list[Rejected]
    alone: AloneDecoder | None = None
    _named: list[tuple[str, str]] | None = None
    _versions: frozenset[tuple[str, str]] | None = None

    def named(self) -> list[tuple[str, str]]:
        """Return the model version of each head."""
        if self._named is None:
            self._named = [*map(_version_of, self.heads)]
        return self._named

    def versions(self) -> frozenset[tuple[str, str]]:
        """Return the model versions in the batch."""
        if self._versions is None:
            self._versions = frozenset(self.named() if self.alone is None else [self.alone.version])
        return self._versions


class AloneDecoder:
    """Decoder of batches in which all predictions are of one model version, features included."""

    def __init__(self, version: tuple[str, str], features: FeaturesDecoder) -> None:
        self.version = version
        self.features = features
        self._struct: type | None = None
        self._lines: LinesDecoder[Any] = _HEADS

    def decode(self, values: Sequence[bytes]) -> list[Any] | None:
        """Return predictions whose `features` are decoded to the features decoder's struct.

        Return None where the values cannot be decoded so, or are of another model version.
        """
        if self.features.struct is None:
            return None
        if self._struct is not self.features.struct:
            self._struct = self.features.struct
            own = {"model": Literal[self.version[0]], "model_version": Literal[self.version[1]],
                   "features": self._struct}  # fmt: skip
            fields = [(f.name, own.get(f.name, f.type), f.default) for f in msgspec.structs.fields(Head)]
            struct = msgspec.defstruct("Alone", fields, frozen=True, gc=False)
            self._lines = LinesDecoder(struct)
        return self._lines.decode(values)


def heads_of(records: Sequence[Record], alone: AloneDecoder | None = None) -> DecodedHeads:
    """Return the heads of records. Features are decoded too where all are of the expected model version."""
    values = [record.value or b"" for record in records]
    heads = None if alone is None or not records else alone.decode(values)
    if heads is not None and keys_fit(records, heads):
        return DecodedHeads(list(records), heads, [], alone)
    heads = _HEADS.decode(values)
    if heads is not None and keys_fit(records, heads):
        return DecodedHeads(list(records), heads, [])
    found = DecodedHeads([], [], [])
    for record in records:
        head = decode(record, _HEADS.single)
        if not isinstance(head, Rejected) and (reason := wrong_key(record.key, head.prediction_id)):
            head = Rejected(record, reason)
        if isinstance(head, Rejected):
            found.rejected.append(head)
            continue
        found.records.append(record)
        found.heads.append(head)
    return found


class PredictionColumns:
    """Maker of batches, which knows the decoder of each watched model version."""

    def __init__(
        self,
        watched: Sequence[CompiledModel],
        number_of: Callable[[str, str], int | None],
        learns: Callable[[str, str], bool] = lambda model, version: False,
    ) -> None:
        """Create a maker of batches. Predictions of versions for which `learns` is true are left out of batches."""
        self._watched = watched
        self._learns = learns
        self._number_of = number_of
        self._decoders: dict[int, FeaturesDecoder] = {}
        self.expected: AloneDecoder | None = None
        """Decoder for the next batch, where the last batch was of one model version only."""

    def batch(self, found: DecodedHeads) -> tuple[PredictionBatch, list[Rejected], list[Record]]:
        """Return the batch, the rejected records, and the records of the batch in its order."""
        rejected = list(found.rejected)
        models = self._models(found)
        if found.alone is not None and self._decoders.get(int(models[0])) is not found.alone.features:
            found = heads_of(found.records)  # the version's profile has changed meanwhile
        times = seconds_of([head.timestamp for head in found.heads])
        reasons: dict[int, str] = {}
        readable = set(np.flatnonzero(models < 0).tolist())
        for i in readable:
            head = found.heads[i]
            learns = self._learns(head.model, head.model_version)
            reasons[i] = LEARNING if learns else unregistered(head.model, head.model_version)
        reasons |= dict.fromkeys(np.flatnonzero(~believable(times)).tolist(), UNBELIEVABLE)
        for i in self._ahead(found.records, models, times).tolist():
            reasons.setdefault(i, AHEAD % self._watched[models[i]].windows.ahead)
            readable.add(i)
        columns, unknown = self._columns(found, models, reasons)
        self._expect(found, models)
        records = found.records
        if reasons:
            rejected += [
                Rejected(found.records[i], reason, i in readable) for i, reason in sorted(reasons.items()) if reason
            ]
            kept = [i for i in range(len(found.heads)) if i not in reasons]
            position = {row: i for i, row in enumerate(kept)}
            unknown = {m: [(position[row], name) for row, name in names] for m, names in unknown.items()}
            records, models, times = [found.records[i] for i in kept], models[kept], times[kept]
        time = np.rint(times * MICROSECONDS).astype(np.int64)
        batch = PredictionBatch(
            ids=ids_of([record.key or b"" for record in records]),
            model=models,
            time=time,
            columns=columns,
            unknown=unknown,
            believed=np.minimum(time, broker_times(records)),
        )
        return batch, rejected, records

    def _ahead(self, records: Sequence[Record], models: NDArray[np.int16], times: Floats) -> NDArray[np.intp]:
        """Return the rows whose time is further ahead of the broker's than their model allows.

        Both times are in the log, so a replay decides the same.
        """
        allowed = np.array([watched.ahead for watched in self._watched] or [0], np.float64)[models]
        return np.flatnonzero(
            (models >= 0) & believable(times) & (times * MICROSECONDS - broker_times(records) > allowed)
        )

    def _models(self, found: DecodedHeads) -> NDArray[np.int16]:
        """Return each row's model number; -1 where the model version is not registered."""
        numbers = {version: self._number_of(*version) for version in found.versions()}
        if len(numbers) == 1:
            number = next(iter(numbers.values()))
            return np.full(len(found.heads), -1 if number is None else number, np.int16)
        known = {version: -1 if number is None else number for version, number in numbers.items()}
        return np.fromiter(map(known.__getitem__, found.named()), np.int16, len(found.heads))

    def _expect(self, found: DecodedHeads, models: NDArray[np.int16]) -> None:
        versions = found.versions()
        if len(versions) != 1 or models[0] < 0:
            self.expected = None
            return
        (version,), decoder = versions, self._decoder(int(models[0]))
        if self.expected is None or self.expected.version != version or self.expected.features is not decoder:
            self.expected = AloneDecoder(version, decoder)

    def _columns(
        self, found: DecodedHeads, models: NDArray[np.int16], reasons: dict[int, str]
    ) -> tuple[dict[int, Sequence[Values]], dict[int, Sequence[tuple[int, str]]]]:
        """Return the columns of each model's rows, and the unknown features by row of the batch.

        Reasons for rows that are rejected are added to `reasons`.
        """
        columns: dict[int, Sequence[Values]] = {}
        unknown: dict[int, Sequence[tuple[int, str]]] = {}
        before = reasons.copy()
        told = _sound_probabilities(found.heads)
        for number, of_model in by_group(models):
            if number < 0:
                continue
            rows = of_model.tolist()
            if before:
                rows = [i for i in rows if i not in before]
            heads = [found.heads[i] for i in rows] if len(rows) < len(found.heads) else found.heads
            raw = [head.features for head in heads]
            decoder = self._decoder(number)
            features = decoder.decode(raw) if found.alone is None else decoder.columns_of(raw)
            made: list[Values] = [*features.columns, [head.prediction for head in heads]]
            bad = features.rejected
            if told is None:
                probabilities, wrong = _probabilities(self._watched[number], heads)
                bad = bad | wrong
            elif len(rows) < MANY:
                probabilities = cast("Values", [head.probability for head in heads])
            else:
                probabilities = told if len(rows) == len(told) else told[rows]
            if self._watched[number].layout.probability is not None:
                made.append(probabilities)
            if bad:
                reasons |= {rows[i]: reason for i, reason in bad.items()}
                made = pick(made, [i for i in range(len(rows)) if i not in bad])
            columns[number] = made
            if features.unknown:
                unknown[number] = [(rows[i], name) for i, name in features.unknown if i not in bad]
        return columns, unknown

    def _decoder(self, number: int) -> FeaturesDecoder:
        decoder = self._decoders.get(number)
        if decoder is None:
            decoder = self._decoders[number] = FeaturesDecoder(
                self._watched[number].profile.features, self._watched[number].profile.ignored
            )
        return decoder


def _of_class(probabilities: dict[str, float], label: str, profile: Profile) -> float | None:
    """Return the probability of a class, whose name may be another spelling of the label."""
    if label in probabilities:
        return probabilities[label]
    reading = profile.prediction.reading
    return next((p for name, p in probabilities.items() if name_of(name, reading) == label), None)


def _sound_probabilities(heads: Sequence[Head]) -> Floats | None:
    """Return the probabilities of a batch, NaN for none.

    Return None where a row has probabilities by class, or a value that is not a number from 0 to 1.
    """
    raw = [head.probability for head in heads]
    if dict in set(map(type, raw)):
        return None
    numbers = np.array(raw, np.float64)
    with np.errstate(invalid="ignore"):
        return None if ((numbers < 0.0) | (numbers > 1.0)).any() else numbers


def _probabilities(watched: CompiledModel, heads: Sequence[Head]) -> tuple[Values, dict[int, str]]:
    """Return the probabilities of the evaluated class (NaN or None: none), and errors of some, by position."""
    raw = [head.probability for head in heads]
    if dict in set(map(type, raw)):
        labels = [head.prediction for head in heads]
        raw = [
            _of_class(p, judged_class(watched.profile, label), watched.profile) if isinstance(p, dict) else p
            for p, label in zip(raw, labels, strict=True)
        ]
    told = cast("Sequence[float | None]", raw)
    if len(told) < MANY:
        outside = [i for i, p in enumerate(told) if p is not None and not 0.0 <= p <= 1.0]
        return told, dict.fromkeys(outside, OUTSIDE)
    numbers = np.array(told, np.float64)
    with np.errstate(invalid="ignore"):
        outside = np.flatnonzero((numbers < 0.0) | (numbers > 1.0)).tolist()
    return numbers, dict.fromkeys(outside, OUTSIDE)
