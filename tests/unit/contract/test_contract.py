"""The documents of the contract are those of the types, and no type changes without a wire version and a note."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from api.app import create_app
from api.export import openapi_json
from api.openapi.document import OPERATIONS
from app.contract import wire
from app.contract.asyncapi import asyncapi, asyncapi_yaml
from app.contract.schemas import UnknownEvent, schema_of
from app.contract.wire import WireChanged, check, record
from app.settings.settings import load_settings
from tests.support.paths import DOCS
from topics.events import FeedbackEvent, PredictionEvent
from topics.registry import TOPICS
from topics.wire import WIRE_VERSION


def test_the_documents_are_those_of_the_types() -> None:
    assert asyncapi_yaml() == (DOCS / "asyncapi.yaml").read_text(), "run `make contract`"
    assert openapi_json() == (DOCS / "openapi.json").read_text(), "run `make contract`"


def test_what_travels_is_that_of_its_wire_version() -> None:
    check(DOCS)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for one in value.values():
            yield from references(one)
    if isinstance(value, list):
        for one in value:
            yield from references(one)


@pytest.mark.parametrize("document", [asyncapi(), json.loads(openapi_json())], ids=["asyncapi", "openapi"])
def test_every_reference_leads_somewhere(document: Any) -> None:
    found = set(references(document))
    assert len(found) > 10
    for reference in found:
        at = document
        for part in reference.removeprefix("#/").split("/"):
            at = at[part.replace("~1", "/")]


def test_every_topic_is_a_channel_with_an_operation() -> None:
    document = yaml.safe_load((DOCS / "asyncapi.yaml").read_text())
    assert list(document["channels"]) == [topic.name for topic in TOPICS]
    assert [one["channel"]["$ref"] for one in document["operations"].values()] == [
        f"#/channels/{topic.name}" for topic in TOPICS
    ]


def test_every_route_has_its_bodies_and_none_is_left_over() -> None:
    app = create_app(load_settings(model_path=None))
    served = {(method, path) for path, found in app.openapi()["paths"].items() for method in found}
    assert served == set(OPERATIONS)


SOUND = {
    "prediction_id": "a", "model": "m", "model_version": "1", "timestamp": 1.5, "features": {"x": 1}, "prediction": "y",
}  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [
        {}, {"timestamp": "2026-01-01T00:00:00Z"}, {"features": {}}, {"features": {"x": None, "y": True, "z": "w"}},
        {"prediction": 1}, {"prediction": True}, {"probability": 0.5}, {"probability": {"y": 1}}, {"probability": None},
        {"metadata": {"a": 1}}, {"more": 1},
        {"prediction_id": ""}, {"prediction_id": "x" * 201}, {"prediction_id": 1}, {"timestamp": None},
        {"features": []}, {"features": {"x": []}}, {"features": {"x": {}}}, {"prediction": None}, {"prediction": []},
        {"probability": "0.5"}, {"probability": {"y": "1"}}, {"metadata": []}, {"metadata": {"a": []}},
    ],
)  # fmt: skip
def test_the_schema_takes_what_the_stream_takes(changed: dict[str, Any]) -> None:
    document = {**SOUND, **changed}
    try:
        msgspec.json.decode(json.dumps(document), type=PredictionEvent)
    except msgspec.ValidationError:
        taken = False
    else:
        taken = True
    assert jsonschema.Draft202012Validator(schema_of("PredictionEvent")).is_valid(document) == taken


def test_what_is_missing_is_missed() -> None:
    validator = jsonschema.Draft202012Validator(schema_of("FeedbackEvent"))
    assert validator.is_valid(json.loads(msgspec.json.encode(FeedbackEvent(prediction_id="a", actual=1.0))))
    for name in ("prediction_id", "actual"):
        assert not validator.is_valid({n: v for n, v in {"prediction_id": "a", "actual": 1}.items() if n != name})


def test_an_unknown_event_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnknownEvent, match=r"no event 'Nothing': AlertEvent, .*PredictionEvent"):
        schema_of("Nothing")


# The wire version


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """The newest version's record and the notes, to be spoilt."""
    (tmp_path / wire.FOLDER).mkdir()
    shutil.copy(DOCS / wire.FOLDER / f"{WIRE_VERSION}.json", tmp_path / wire.FOLDER)
    shutil.copy(DOCS / wire.NOTES, tmp_path / wire.NOTES)
    return tmp_path


def spoil(docs: Path, change: str) -> None:
    """Give the record of the newest version another past, so that the types differ from it."""
    path = docs / wire.FOLDER / f"{WIRE_VERSION}.json"
    found = msgspec.json.decode(path.read_bytes())
    fields = found["types"]["FeedbackEvent"]
    match change:
        case "added":
            del fields["properties"]["metadata"]
        case "added without a default":
            del fields["properties"]["actual"]
            fields["required"].remove("actual")
        case "removed":
            fields["properties"]["colour"] = {"type": "string"}
        case "retyped":
            fields["properties"]["actual"] = {"type": "string"}
        case "required":
            fields["required"].remove("actual")
        case "topic gone":
            found["topics"]["old"] = {"key": "k", "events": "FeedbackEvent", "cleanup": "delete"}
        case "key":
            found["topics"]["feedback"]["key"] = "model"
    path.write_bytes(msgspec.json.encode(found))


def raised(version: str, by: int) -> str:
    major, minor = wire.numbers(version)
    return f"{major + by}.0" if by else f"{major}.{minor + 1}"


@pytest.mark.parametrize(
    ("change", "subject", "breaking"),
    [
        ("added", "FeedbackEvent.metadata", 0),
        ("added without a default", "FeedbackEvent.actual", 1),
        ("removed", "FeedbackEvent.colour", 1),
        ("retyped", "FeedbackEvent.actual", 1),
        ("required", "FeedbackEvent.actual", 1),
        ("topic gone", "old", 1),
        ("key", "feedback", 1),
    ],
)
def test_a_change_needs_a_version_and_a_note_that_names_it(
    docs: Path, monkeypatch: pytest.MonkeyPatch, change: str, subject: str, breaking: int
) -> None:
    spoil(docs, change)
    notes = docs / wire.NOTES
    notes.write_text(notes.read_text().replace(f" - {wire.UNRELEASED}", ""))
    new = raised(WIRE_VERSION, breaking)
    for found in (check, record):
        with pytest.raises(WireChanged, match=rf"{re.escape(subject)}: .*Set WIRE_VERSION .* to {re.escape(new)} "):
            found(docs)

    if breaking:  # too small a step
        monkeypatch.setattr("app.contract.wire.WIRE_VERSION", raised(WIRE_VERSION, 0))
        path = record(docs)
        with pytest.raises(WireChanged, match=f"so it must be {re.escape(new)}"):
            check(docs)
        path.unlink()
    monkeypatch.setattr("app.contract.wire.WIRE_VERSION", new)
    record(docs)
    with pytest.raises(WireChanged, match=f"section {re.escape(new)}: say why.*`{re.escape(subject)}`"):
        check(docs)
    notes.write_text(f"{notes.read_text()}\n## {new}\n\n- `{subject}`: because.\n")
    check(docs)


def test_the_record_of_an_unreleased_version_is_written_anew(docs: Path) -> None:
    notes = docs / wire.NOTES
    before = (docs / wire.FOLDER / f"{WIRE_VERSION}.json").read_bytes()
    spoil(docs, "added")
    heading = f"## {WIRE_VERSION}"
    notes.write_text(notes.read_text().replace(f" - {wire.UNRELEASED}", "").replace(heading, f"{heading} - unreleased"))
    assert record(docs).read_bytes() == before


def test_words_about_a_type_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FeedbackEvent, "__doc__", "In other words.")
    check(DOCS)
