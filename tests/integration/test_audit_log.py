"""Who has changed what: by HTTP, by commands and in the file of keys; in Kafka, the history, and its questions."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime

import msgspec
from typer.testing import CliRunner

from app.access import KeyFile, Role, keys_path
from app.cli import app
from app.history.event_rows import entries_of
from app.history.setup import history_of
from app.history.writer import RecordedRun, Writer
from app.settings.settings import Settings
from tests.support.alert_events import SILENCE_BODY
from tests.support.api import client_of, ready
from tests.support.kafka_topics import records_of
from tests.support.receivers import PUBLIC
from tests.support.run_command import typed_with
from tests.support.stream import MODEL, VERSION, register_model
from topics.events import AuditEvent
from topics.registry import AUDIT

THEIRS = {**SILENCE_BODY, "matchers": ["model=theirs"], "created_by": "mallory"}


async def audited(settings: Settings) -> list[AuditEvent]:
    return [msgspec.json.decode(one.value, type=AuditEvent) for one in await records_of(settings, AUDIT)]


async def test_who_changes_something_is_in_the_audit(settings: Settings) -> None:
    keys = KeyFile(keys_path(settings))

    def made(name: str, *roles: Role, models: tuple[str, ...] = ()) -> tuple[str, dict[str, str]]:
        key = keys.create(name, list(roles), datetime.now(UTC), models=models, created_by="root")
        return key.key.id, {"authorization": f"Bearer {key.text}"}

    (admin_id, admin), (reader_id, reader) = made("ada", "admin"), made("team", "read", models=("income",))
    async with client_of(settings) as client:
        await ready(client)
        silence = (await client.post("/silences", json=THEIRS, headers=admin)).json()
        everyones = {**SILENCE_BODY, "matchers": ["rule=data_drift"]}
        del everyones["created_by"]
        other = (await client.post("/silences", json=everyones, headers=admin)).json()
        assert (silence["created_by"], other["created_by"]) == ("ada", "ada")
        seen = (await client.get("/silences", headers=reader)).json()["silences"]
        assert [one["silence_id"] for one in seen] == [other["silence_id"]]  # nothing of the other team's
        receiver = {"name": "on-call", "url": PUBLIC, "created_by": "mallory"}
        assert (await client.post("/receivers", json=receiver, headers=admin)).json()["created_by"] == "ada"
        assert (await client.delete("/receivers/on-call", headers=admin)).status_code == 200
        assert (await client.delete(f"/silences/{silence['silence_id']}", headers=admin)).status_code == 200
        typing = ("alerts", "silence", "--model", "income", "--for", "2h", "--comment", "x", "--json")
        by_hand = json.loads((await typed_with(settings, *typing)).stdout)["silence_id"]
        await register_model(settings)
        keys.revoke(reader_id, datetime.now(UTC), "root")
        found: list[AuditEvent] = []
        while not any(one.action == "key.revoked" for one in found):
            found = await audited(settings)
        by_action = [(one.action, one.subject, one.actor) for one in found if not one.host]
        expected = [
            ("key.created", admin_id, "root"), ("key.created", reader_id, "root"),
            ("silence.created", silence["silence_id"], "ada"), ("silence.created", other["silence_id"], "ada"),
            ("receiver.set", "on-call", "ada"), ("receiver.removed", "on-call", "ada"),
            ("silence.ended", silence["silence_id"], "ada"), ("key.revoked", reader_id, "root"),
        ]  # fmt: skip
        assert sorted(by_action) == sorted(expected)
        typed_in = [(one.action, one.subject) for one in found if one.host]
        assert typed_in == [("silence.created", by_hand), ("model.registered", f"{MODEL}/{VERSION}")]
        assert PUBLIC.partition("//")[2].partition("/")[2] not in str(found)  # of a URL its host alone
        _record(settings, await records_of(settings, AUDIT))
        told = (await client.get("/history/audit", params={"actor": "ada"}, headers=admin)).json()["audit"]
        assert [one["action"] for one in told][:2] == ["silence.ended", "receiver.removed"]
        assert {one["key_id"] for one in told} == {admin_id}
    shown = CliRunner().invoke(app, ["history", "audit", "--json", "--state-dir", str(settings.state_dir)])
    assert [json.loads(line)["action"] for line in shown.stdout.splitlines()].count("silence.created") == 3
    table = CliRunner().invoke(
        app, ["history", "audit", "--state-dir", str(settings.state_dir), "--subject", "on-call"]
    )
    assert "receiver.removed  on-call" in table.stdout


def _record(settings: Settings, records: list[object]) -> None:
    """Write records as the recorder does, and once more: an event that is sent again is one."""
    with closing(history_of(settings)) as history:
        history.prepare()
        writer = Writer(history)
        writer.move((AUDIT.name, 0), 0)
        for start in (0, len(records)):
            entries, rejected = entries_of(AUDIT, records)  # type: ignore[arg-type]  # as much of them as is read
            assert rejected == []
            moved = tuple(entry._replace(offset=start + i) for i, entry in enumerate(entries))
            writer.write([RecordedRun(AUDIT, (AUDIT.name, 0), start, start + len(moved), moved)])
