"""Mapping of runs of a source's records to predictions and feedback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from app.ingest.decoding import Record, Rejected
from app.settings.event_sources import SourceDeclaration
from app.settings.source_mapping import INDEX, Constant
from app.sources.elements import Expansion, repeated_ids
from app.sources.feature_rows import features_of
from app.sources.fields import Wrong, labels, names, probabilities, seconds
from app.sources.paths import CompiledPath, RunDocuments
from topics.events import FeedbackEvent, PredictionEvent

_timestamp = attrgetter("timestamp")

E = TypeVar("E")


@dataclass(slots=True)
class MappedRun:
    """Predictions and feedback of a run, with the positions of their records.

    `rejected` are the records that do not map, in their order; `filtered` the positions of those that `where`
    leaves out, `empty` of those whose lists have no elements. `wrong_elements` are the documents of elements that do
    not map, by their record's position.
    """

    predictions: list[PredictionEvent] = field(default_factory=list)
    predictions_at: list[int] = field(default_factory=list)
    feedback: list[FeedbackEvent] = field(default_factory=list)
    feedback_at: list[int] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    filtered: list[int] = field(default_factory=list)
    empty: list[int] = field(default_factory=list)
    wrong_elements: dict[int, Any] = field(default_factory=dict)

    def leave_out(self, wrong: Wrong) -> None:
        """Drop the events of rejected records. A record maps as a whole or not at all."""
        self.predictions, self.predictions_at = _without(wrong, self.predictions, self.predictions_at)
        self.feedback, self.feedback_at = _without(wrong, self.feedback, self.feedback_at)


class SourceMapper:
    """Mapper of one source's documents, compiled once from its declaration."""

    def __init__(self, source: SourceDeclaration) -> None:
        mapping = source.mapping
        self.source = source
        self._id = CompiledPath.compile(mapping.id)
        self._where = _optional(mapping.where)
        self._each = None if mapping.each is None else Expansion(mapping.each)
        self._time = _optional(mapping.time)
        self._unit = mapping.time_unit
        self._zone = None if mapping.time_zone is None else ZoneInfo(mapping.time_zone)
        self._model = None if mapping.model is None else _named("model", mapping.model)
        self._version = None if mapping.version is None else _named("version", mapping.version)
        self._features = None if mapping.features is None else features_of(mapping.features)
        self._prediction = _optional(mapping.prediction)
        self._probability = _optional(mapping.probability)
        self._truth = _optional(mapping.truth)

    def map(self, records: Sequence[Record], documents: Sequence[Any]) -> MappedRun:
        """Map a run. `documents` are the decoded values of the records."""
        mapped, whole, rejected = MappedRun(), records, Wrong()
        positions: Sequence[int] | None = None
        if self._where is not None:
            positions, records, documents = self._filter(self._where, records, documents, mapped, rejected)
        if self._each is not None:
            positions, records, documents = self._expand(self._each, records, documents, positions, mapped, rejected)
        run, wrong = RunDocuments(documents), Wrong()
        ids = names(self._id.column(run, "id", wrong), "id", self._id.text, wrong)
        if self._each is not None and positions is not None:
            repeated_ids(ids, positions, wrong)
        times = self._times(run, records, wrong)
        models = None if self._model is None else self._model(run, wrong)
        if self.source.carries != "feedback":
            self._predictions(run, ids, times, models, wrong, mapped)
        if self._truth is not None:
            self._add_feedback(self._truth, run, ids, times, models, wrong, mapped)
        if positions is not None:
            mapped.predictions_at = [positions[i] for i in mapped.predictions_at]
            mapped.feedback_at = [positions[i] for i in mapped.feedback_at]
        if wrong and self._each is not None and positions is not None:
            wrong = _by_record(wrong, positions, documents, mapped)
        elif positions is not None:
            wrong = {positions[i]: reason for i, reason in wrong.items()}
        rejected |= wrong
        if rejected:
            mapped.leave_out(rejected)
            mapped.rejected = [Rejected(whole[i], rejected[i]) for i in sorted(rejected)]
        return mapped

    def _filter(
        self, where: CompiledPath, records: Sequence[Record], documents: Sequence[Any], mapped: MappedRun, wrong: Wrong
    ) -> tuple[Sequence[int], Sequence[Record], Sequence[Any]]:
        """Leave out records whose `where` is false or null. Reject those for which it cannot be evaluated."""
        chosen = [_is_true(value) for value in where.column(RunDocuments(documents), "where", wrong)]
        mapped.filtered += [i for i, kept in enumerate(chosen) if not kept and i not in wrong]
        positions = [i for i, kept in enumerate(chosen) if kept]
        return positions, [records[i] for i in positions], [documents[i] for i in positions]

    def _expand(
        self, each: Expansion, records: Sequence[Record], documents: Sequence[Any], positions: Sequence[int] | None,
        mapped: MappedRun, rejected: Wrong,
    ) -> tuple[Sequence[int], Sequence[Record], Sequence[Any]]:  # fmt: skip
        """Return the elements of records with their documents. Reject records whose lists cannot be read."""
        given = range(len(records)) if positions is None else positions
        wrong = Wrong()
        found = each.expand(documents, wrong)
        rejected.update((given[i], reason) for i, reason in wrong.items())
        mapped.empty += [given[i] for i in found.empty]
        return [given[i] for i in found.at], [records[i] for i in found.at], found.documents

    def _times(self, run: RunDocuments, records: Sequence[Record], wrong: Wrong) -> list[float]:
        """Return each record's time: the Kafka record's own if the mapping names none."""
        if self._time is None:
            return seconds([*map(_timestamp, records)], "ms", None, "the Kafka record's timestamp", wrong)
        return seconds(self._time.column(run, "time", wrong), self._unit, self._zone, self._time.text, wrong)

    def _predictions(
        self, run: RunDocuments, ids: Sequence[str], times: Sequence[float], models: Sequence[str] | None,
        wrong: Wrong, mapped: MappedRun,
    ) -> None:  # fmt: skip
        assert models is not None  # these three are there, as declared
        assert self._version is not None
        assert self._features is not None
        versions, features = self._version(run, wrong), self._features(run, wrong)
        predicted = _column(self._prediction, run, "prediction", wrong)
        if predicted is not None and self._prediction is not None:
            predicted = labels(predicted, "prediction", self._prediction.text, wrong)
        given = _column(self._probability, run, "probability", wrong)
        if given is not None and self._probability is not None:
            given = probabilities(given, self._probability.text, wrong)
        nothing: Sequence[None] = [None] * len(run)
        rows = zip(ids, models, versions, times, features, predicted or nothing, given or nothing, strict=True)
        mapped.predictions = [
            PredictionEvent(
                prediction_id=prediction_id, model=model, model_version=version, timestamp=time, features=row,
                prediction=prediction, probability=probability,
            )
            for prediction_id, model, version, time, row, prediction, probability in rows
        ]  # fmt: skip
        mapped.predictions_at = [*range(len(run))]

    def _add_feedback(
        self, truth: CompiledPath, run: RunDocuments, ids: Sequence[str], times: Sequence[float],
        models: Sequence[str] | None, wrong: Wrong, mapped: MappedRun,
    ) -> None:  # fmt: skip
        """Add feedback. A truth may be missing if the same records carry predictions."""
        needed = self.source.carries == "feedback"
        truths = labels(truth.column(run, "truth", wrong), "truth", truth.text, wrong, needed=needed)
        known = [i for i, actual in enumerate(truths) if actual is not None]
        mapped.feedback = [
            FeedbackEvent(
                prediction_id=ids[i], actual=truths[i], timestamp=times[i],  # type: ignore[arg-type]  # not None
                model=None if models is None else models[i],
            )
            for i in known
        ]  # fmt: skip
        mapped.feedback_at = known


def _by_record(wrong: Wrong, at: Sequence[int], documents: Sequence[Any], mapped: MappedRun) -> Wrong:
    """Return the first reason of each record, with the element that it is about."""
    found = Wrong()
    for i in sorted(wrong):
        if at[i] not in found:
            found[at[i]] = f"{wrong[i]} (element {documents[i][INDEX]})"
            mapped.wrong_elements[at[i]] = documents[i]
    return found


def _without(wrong: Wrong, events: Sequence[E], at: Sequence[int]) -> tuple[list[E], list[int]]:
    kept = [place for place, i in enumerate(at) if i not in wrong]
    return [events[place] for place in kept], [at[place] for place in kept]


def _optional(text: str | None) -> CompiledPath | None:
    return None if text is None else CompiledPath.compile(text)


def _column(path: CompiledPath | None, run: RunDocuments, name: str, wrong: Wrong) -> Sequence[Any] | None:
    return None if path is None else path.column(run, name, wrong)


def _is_true(value: Any) -> bool:
    """Return whether a value is true in JMESPath."""
    return not (value is None or value is False or value in ("", [], {}))


def _named(name: str, given: Constant | str) -> Callable[[RunDocuments, Wrong], Sequence[str]]:
    """Return a function that finds each record's model, or version."""
    if isinstance(given, Constant):
        constant = given.constant
        return lambda run, wrong: [constant] * len(run)
    path = CompiledPath.compile(given)
    return lambda run, wrong: names(path.column(run, name, wrong), name, path.text, wrong)
