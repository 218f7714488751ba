"""`driftline sources`: the output shown by the how-to page, and hints for records that do not map."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.commands.sources import NONE_DECLARED, print_tried
from app.commands.tried_sources import TriedSource, hint_for, tried_of
from app.settings.event_sources import SourceDeclaration
from app.settings.settings import SettingsError, load_settings
from app.sources.source import EventSource, registry_of, sources_of
from tests.support.docs import blocks
from tests.support.paths import DOCS
from tests.support.run_command import typed
from tests.support.source_records import SourceRecord, declared

PAGE = DOCS / "how-to" / "own-topic.md"


@dataclass
class Read(SourceRecord):
    """A record of a consumer."""

    topic: str = "checkout.scored"
    partition: int = 0


class Models:
    """Registered model versions with the names of their features."""

    def __init__(self, **features: list[str]) -> None:
        self._features = features

    def get(self, model: str, version: str) -> Any:
        names = self._features.get(model)
        columns = None if names is None else [SimpleNamespace(name=name) for name in names]
        return None if columns is None else SimpleNamespace(profile=SimpleNamespace(features=columns))


async def tried(
    source: EventSource, *documents: Any, models: Any = None, topic: str = "checkout.scored"
) -> TriedSource:
    records = [Read(i, json.dumps(document).encode(), topic=topic) for i, document in enumerate(documents)]
    return await tried_of(source, records, models or Models())


async def test_the_page_shows_what_its_source_makes_of_its_records(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = [one for one in blocks(PAGE) if one[0] in ("jsonl", "toml", "text")]
    starts = [i for i, (language, _) in enumerate(shown) if language == "jsonl"]
    assert len(starts) == 2
    for start in starts:
        found = dict(reversed(shown[start:]))
        (folder / "driftline.toml").write_text(found["toml"])
        (source,) = sources_of(load_settings(), None)
        documents = map(json.loads, found["jsonl"].splitlines())
        print_tried(await tried(source, *documents, topic=source.topic.name))
        assert capsys.readouterr().out == found["text"]


async def test_notes_name_what_is_null_in_all_records_and_what_the_registered_version_has_more() -> None:
    source = EventSource(declared(features={"select": {"a": "a", "b": "x.b"}}, probability="p"), None)
    documents = [{"id": i, "time": 1_780_000_000, "a": 1, "b": 2} for i in range(2)]
    found = await tried(source, *documents, models=Models(churn=["a", "b", "c"]))
    assert found.notes == [
        "null in all 2 predictions: b, probability; are the paths right?",
        "churn 7 has features that no record has: c",
    ]
    assert not found.rejected
    assert (await tried(source, {**documents[0], "x": {"b": 1}, "p": 0.5}, models=Models(churn=["a"]))).notes == []


@pytest.mark.parametrize(
    ("path", "document", "hint"),
    [
        ("meta.id", {"meta": {"Id": 1, "x": 2}}, "meta has Id, x; did you mean Id?"),
        ("meta.id", {"mta": {}}, "the record has mta; did you mean mta?"),
        ("meta.id", {"meta": {"id": None}}, "meta has id, which is null"),
        ("meta.id", {"meta": []}, "meta is a list of 0"),
        ("meta.id", {"meta": "x"}, "meta is no object"),
        ("a[1].id", {"a": [{}]}, "a is a list of 1"),
        ("a[0].id", {"a": [{}]}, "a[0] has no members"),
        ("id", None, "the record is null"),
        ("a || b", {}, ""),
    ],
)
def test_a_hint_says_what_is_there_instead(path: str, document: Any, hint: str) -> None:
    assert hint_for(f"id: nothing at {path}", document) == hint
    assert hint_for("id: must have 1 to 200 characters", document) == ""


SOURCE = """
[[sources]]
topic = "scored"
{more}
[sources.mapping]
id = "id"
model = "model"
version = "version"
features = "features"
"""


def test_list_and_try_say_what_is_declared_and_what_is_missing(folder: Path) -> None:
    status, out, _ = typed("sources", "list")
    assert (status, out) == (0, NONE_DECLARED + "\n")
    (folder / "driftline.toml").write_text(SOURCE.format(more='carries = "predictions"'))
    status, out, _ = typed("sources", "list")
    assert (status, out) == (0, "source  topic   format  carries\nscored  scored  json    predictions\n")
    status, out, _ = typed("sources", "list", "--json")
    assert json.loads(out)["mapping"]["features"] == {"object": "features", "without": []}
    for more, words in {
        'carries = "truth"': "sources: source 'scored': carries: must be 'predictions', 'feedback' or 'both'; it is ",
        'formt = "avro"': "sources: source 'scored': formt: there is no such key; did you mean format?; it is ",
        'carries = "feedback"': "sources: source 'scored': mapping.version: feedback has none; set carries = ",
        'carries = "both"': "sources: source 'scored': mapping.truth: missing; a source that carries both has it",
    }.items():
        (folder / "driftline.toml").write_text(SOURCE.format(more=more))
        status, _, err = typed("sources", "list")
        assert status == 2
        assert err.startswith(f"driftline: {words}"), err


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sources": [{"format": "avro"}]}, r"^sources: source 'scored': format avro needs schema_registry_url"),
        (
            {"sources": [{"format": "avro", "schema_file": "none.avsc"}]},
            r"^sources: source 'scored': schema_file: cannot",
        ),
        (
            {"schema_registry_url": "http://x", "schema_registry_username": "me"},
            r"^schema_registry_password: it is",
        ),
        ({"schema_registry_url": "http://x", "schema_registry_password": "p"}, r"^schema_registry_username: it is not"),
        ({"schema_registry_url": "http://x", "schema_registry_ca_file": "none"}, r"^schema_registry_ca_file: No such "),
        ({"schema_registry_url": "http://me:p@x"}, r"^schema_registry_url: must have no login in it: set schema_reg"),
        ({"schema_registry_url": "registry:8081"}, r"^schema_registry_url: must be an address such as https://reg"),
        ({"sources": [{}, {}]}, r"^sources: two sources have the name 'scored': set name"),
        (
            {"sources": [{"name": "a"}, {"name": "b"}]},
            r"^sources: source 'a': mapping.where: missing; source 'b' r",
        ),
        (
            {"sources": [{"topic": "driftline.feedback"}]},
            r"^sources: source 'driftline.feedback': topic driftline.fe",
        ),
        (
            {"sources": [{"id": "meta.request-id"}]},
            r"mapping.id: 'meta.request-id' is no JMESPath; .*: meta.\"request-id\";",
        ),
        ({"sources": [{"id": "a["}]}, r"mapping.id: 'a\[' is no JMESPath: Invalid jmespath expression: Incomplete"),
        ({"sources": [{"id": 7}]}, r"mapping.id: must be a valid string; it is "),
        ({"sources": [{"model": 7}]}, r"mapping.model: must be a path, or {constant = \"…\"}; it is "),
        ({"sources": [{"features": {"lst": "a"}}]}, r"mapping.features: must be a path to an object, or a table with "),
        ({"sources": [{"features": {"list": "a"}}]}, r"mapping.features.names: missing; it is "),
        ({"sources": [{"features": {"select": {"b": "a["}}}]}, r"mapping.features.select.b: 'a\[' is no JMESPath: "),
        ({"sources": [{"time_zone": "Mars"}]}, r"mapping.time_zone: must be a time zone such as Europe/Berlin; it is "),
        ({"sources": [{"framing": "none"}]}, r"^sources: source 'scored': framing: json has none to be set"),
        (
            {"sources": [{"format": "protobuf", "message": "a.B"}]},
            r"schema_file and message: a Protobuf source has",
        ),
    ],
)
def test_settings_that_do_not_fit_together_name_what_is_missing(settings: dict[str, Any], words: str) -> None:
    whole = declared().model_dump(exclude_none=True, exclude={"name"})
    given = dict(settings)
    if "sources" in given:
        keys = SourceDeclaration.model_fields
        given["sources"] = [
            {**whole, **{name: value for name, value in one.items() if name in keys},
             "mapping": whole["mapping"] | {name: value for name, value in one.items() if name not in keys}}
            for one in given["sources"]
        ]  # fmt: skip

    def load() -> None:
        found = load_settings(**given)
        sources_of(found, registry_of(found))

    with pytest.raises(SettingsError, match=words):
        load()
