"""Keys and values of the alerts agent's table, for each model version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import NamedTuple

import msgspec

from agents.applied_offsets import advance, next_offset, unapplied
from app.alerting.events.related_window import RelatedWindows
from app.alerting.rules.lifecycle import RuleState
from app.alerting.rules.not_counted import Intake
from app.ingest.decoding import Record

RULE_NAMES = 4
"""Number of names in the key of a rule's state: model, version, rule, subject."""
BESIDE = "beside"
"""Last name in a key of three names: the related windows of a model version."""
INTAKE = "intake"
"""Prefix of a topic in a key of three names: the counts that the topic's partitions last reported as not counted."""

_states = msgspec.json.Decoder(RuleState)
_besides = msgspec.json.Decoder(RelatedWindows)
_intakes = msgspec.json.Decoder(Intake)


class RuleKey(NamedTuple):
    """Key of a rule's state."""

    model: str
    version: str
    rule: str
    subject: str


VersionKey = tuple[str, str]
"""Model and version."""
IntakeKey = tuple[str, str, str]
"""Model, version and topic."""


class AlertStore:
    """Table of the alerts agent: states of rules, related windows, records not counted, and applied offsets."""

    def __init__(self, table: MutableMapping[str, bytes]) -> None:
        self._table = table

    # Applied offsets

    def next_offset(self, partition: int) -> int:
        """Return the offset to read a source partition from; 0 before anything was applied."""
        return next_offset(self._table, partition) or 0

    def unapplied(self, partition: int, records: Sequence[Record]) -> Sequence[Record]:
        """Return the records that were not applied before."""
        return unapplied(self._table, partition, records)

    # State of a model version

    def rule_state(self, key: RuleKey) -> RuleState:
        """Return the state of a rule; a calm one where none is saved."""
        found = self._table.get(key_of(*key))
        return RuleState() if found is None else _states.decode(found)

    def beside(self, key: VersionKey) -> RelatedWindows | None:
        """Return the results of a model version's newest windows; None where none is saved."""
        found = self._table.get(key_of(*key, BESIDE))
        return None if found is None else _besides.decode(found)

    def intake(self, key: IntakeKey) -> Intake:
        """Return the counts that a topic's partitions last reported as not counted for a model version."""
        found = self._table.get(_intake_key(key))
        return Intake() if found is None else _intakes.decode(found)

    def subjects(self, model: str, version: str, rule: str) -> Iterator[str]:
        """Yield the subjects of which a rule has a state."""
        start = key_of(model, version, rule, "")
        return (names_of(key)[-1] for key in self._table if key.startswith(start))

    def rule_states(self) -> Iterator[tuple[RuleKey, RuleState]]:
        """Yield all states of rules."""
        for key, value in self._table.items():
            names = names_of(key)
            if len(names) == RULE_NAMES:
                yield RuleKey(*names), _states.decode(value)

    def entries(self) -> Iterator[tuple[str, VersionKey, RuleKey | None]]:
        """Yield the key and model version of each entry, with the rule's key if the entry is a rule's state."""
        for key in list(self._table):
            names = names_of(key)
            if len(names) > 1:
                yield key, (names[0], names[1]), RuleKey(*names) if len(names) == RULE_NAMES else None

    # Writes

    def write(
        self,
        partition: int,
        states: Mapping[RuleKey, RuleState],
        beside: Mapping[VersionKey, RelatedWindows],
        intakes: Mapping[IntakeKey, Intake],
        following: int | None,
    ) -> None:
        """Write the result of a batch, then the applied offset `following` (None: the batch was empty)."""
        for rule, state in states.items():
            self._table[key_of(*rule)] = msgspec.json.encode(state)
        for version, shown in beside.items():
            self._table[key_of(*version, BESIDE)] = msgspec.json.encode(shown)
        for intake, counted in intakes.items():
            self._table[_intake_key(intake)] = msgspec.json.encode(counted)
        if following is not None:
            advance(self._table, partition, following)

    def remove(self, keys: Iterable[str]) -> None:
        """Delete entries, by their keys."""
        for key in keys:
            del self._table[key]


def version_of(key: str) -> VersionKey | None:
    """Return the model version that an entry is about; None where it is about a partition."""
    names = names_of(key)
    return None if key.startswith("@") else (names[0], names[1])


def key_of(*names: str) -> str:
    """Return names as a key. A slash within a name is spelt %2F."""
    return "/".join(name.replace("%", "%25").replace("/", "%2F") for name in names)


def names_of(key: str) -> list[str]:
    """Return the names in a key."""
    return [name.replace("%2F", "/").replace("%25", "%") for name in key.split("/")]


def _intake_key(key: IntakeKey) -> str:
    model, version, topic = key
    return key_of(model, version, f"{INTAKE} {topic}")
