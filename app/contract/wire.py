"""Record of the topics and fields of each wire version, and the differences between two versions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from app.contract.schemas import components, travelling
from topics.registry import TOPICS
from topics.wire import WIRE_VERSION

Snapshot = dict[str, Any]

FOLDER, NOTES = "wire", "wire-changes.md"
"""Names of the records' folder and of the notes' file, in the folder of the documentation."""
UNRELEASED = "unreleased"


class WireChanged(ValueError):
    """Raised when the types differ from the version's record, or a note is missing. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two versions.

    `breaking`: older records can no longer be read, or older readers cannot read new records.
    """

    subject: str
    what: str
    breaking: bool

    def __str__(self) -> str:
        return f"{self.subject}: {self.what}"


def snapshot() -> Snapshot:
    """Return the present topics and types, without their descriptions."""
    kinds = components(list(travelling().values()), "{name}")
    found = {
        "version": WIRE_VERSION,
        "topics": {topic.name: {"key": topic.key, "events": topic.event, "cleanup": topic.cleanup} for topic in TOPICS},
        "types": {name: _without_words(schema) for name, schema in kinds.items()},
    }
    return msgspec.json.decode(msgspec.json.encode(found), type=Snapshot)  # in the form in which a record is read


def _without_words(value: Any) -> Any:
    """Return a schema without titles and descriptions. Fields may have these names."""
    if isinstance(value, list):
        return [_without_words(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name: {field: _without_words(schema) for field, schema in one.items()}
        if name == "properties"
        else _without_words(one)
        for name, one in value.items()
        if name not in ("title", "description")
    }


def changes(before: Snapshot, after: Snapshot) -> list[Change]:
    """Return the differences of topics, types and fields, in that order."""
    return [*_topics(before["topics"], after["topics"]), *_types(before["types"], after["types"])]


def _topics(before: Snapshot, after: Snapshot) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        if name not in after:
            yield Change(name, "the topic is gone", breaking=True)
        elif name not in before:
            yield Change(name, "a new topic", breaking=False)
        elif before[name] != after[name]:
            yield Change(name, f"the topic was {before[name]}, now {after[name]}", breaking=True)


def _types(before: Snapshot, after: Snapshot) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        if name not in after:
            yield Change(name, "the type is gone", breaking=True)
        elif name not in before:
            yield Change(name, "a new type", breaking=False)
        elif before[name] != after[name]:
            yield from _fields(name, before[name], after[name])


def _fields(name: str, before: Snapshot, after: Snapshot) -> Iterator[Change]:
    old, new = before.get("properties", {}), after.get("properties", {})
    required, requires = set(before.get("required", ())), set(after.get("required", ()))
    for field in [*old, *(field for field in new if field not in old)]:
        subject = f"{name}.{field}"
        if field not in new:
            yield Change(subject, "the field is gone", breaking=True)
        elif field not in old:
            told = "a new field without a default" if field in requires else "a new field"
            yield Change(subject, told, breaking=field in requires)
        elif old[field] != new[field]:
            yield Change(subject, f"was {old[field]}, now {new[field]}", breaking=True)
        elif (field in required) != (field in requires):
            yield Change(subject, "is required now" if field in requires else "may be left out now", breaking=True)
    rest = [{key: one[key] for key in one if key not in ("properties", "required")} for one in (before, after)]
    if rest[0] != rest[1]:
        yield Change(name, f"was {rest[0]}, now {rest[1]}", breaking=True)


def check(docs: Path) -> None:
    """Compare the types with their version's record, each version with the one before, and the notes.

    Raises WireChanged.
    """
    known = recorded(docs)
    if WIRE_VERSION not in known:
        raise WireChanged(f"{docs / FOLDER} has no record of wire version {WIRE_VERSION}: `make contract` writes it")
    found = changes(known[WIRE_VERSION], snapshot())
    if found:
        raise WireChanged(_to_do(known, found))
    versions = list(known)
    for before, after in pairwise(versions):
        _check_step(known[before], known[after], docs)
    if missing := [version for version in versions if version not in sections(docs)]:
        raise WireChanged(f"{docs / NOTES}: no section `## {missing[0]}`")


def _check_step(before: Snapshot, after: Snapshot, docs: Path) -> None:
    found = changes(before, after)
    one, other = numbers(before["version"]), numbers(after["version"])
    breaking = [change for change in found if change.breaking]
    if breaking and one[0] == other[0]:
        raise WireChanged(
            f"wire version {after['version']} breaks what reads or writes {before['version']}, so it must be "
            f"{one[0] + 1}.0: {breaking[0]}. A new field with a default would break nothing"
        )
    note = sections(docs).get(after["version"], "")
    unsaid = [change for change in found if f"`{change.subject}`" not in note]
    if unsaid:
        raise WireChanged(
            f"{docs / NOTES}, section {after['version']}: say why, naming each as `{unsaid[0].subject}` is here: "
            + "; ".join(map(str, unsaid))
        )


def _to_do(known: dict[str, Snapshot], found: list[Change]) -> str:
    major, minor = numbers(WIRE_VERSION)
    least = f"{major + 1}.0" if any(change.breaking for change in found) else f"{major}.{minor + 1}"
    return (
        f"what travels is no longer that of wire version {WIRE_VERSION}: {'; '.join(map(str, found))}. "
        f"Set WIRE_VERSION in topics/wire.py to {least} (an unreleased {list(known)[-1]} may still take it up), "
        f"name each change in docs/{NOTES}, and run `make contract`"
    )


def record(docs: Path) -> Path:
    """Write the record of this version; return its path.

    Raises WireChanged where the record of a released version would change.
    """
    known, path = recorded(docs), docs / FOLDER / f"{WIRE_VERSION}.json"
    if WIRE_VERSION in known and WIRE_VERSION not in unreleased(docs):
        found = changes(known[WIRE_VERSION], snapshot())
        if found:
            raise WireChanged(_to_do(known, found))
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(snapshot()), indent=1) + b"\n")
    return path


def recorded(docs: Path) -> dict[str, Snapshot]:
    """Return the record of every version, oldest first."""
    paths = sorted((docs / FOLDER).glob("*.json"), key=lambda path: numbers(path.stem))
    return {path.stem: msgspec.json.decode(path.read_bytes()) for path in paths}


def sections(docs: Path) -> dict[str, str]:
    """Return the notes by version, from headings such as `## 1.1` or `## 1.1 - unreleased`."""
    parts = re.split(r"^## (\d+\.\d+)", (docs / NOTES).read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def unreleased(docs: Path) -> set[str]:
    """Return the versions whose record may still change."""
    return {version for version, note in sections(docs).items() if UNRELEASED in note.partition("\n")[0]}


def numbers(version: str) -> tuple[int, int]:
    """Return the major and the minor number of a version."""
    major, minor = version.split(".")
    return int(major), int(minor)
