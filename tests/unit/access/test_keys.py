"""API keys: only hashes are kept, and what is revoked or expired is good for nothing."""

from __future__ import annotations

import json
import re
import shlex
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.access import KeyFile, KeyFileError, OpenApi, check_open
from app.cli import app
from app.processes.file_lock import file_lock
from app.settings.settings import Settings, load_settings
from tests.support.parse_command import parse
from tests.support.paths import DOCS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = timedelta(hours=12)


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "state" / "api-keys.json")


def test_a_key_is_found_by_its_text_and_its_session_by_the_cookie_but_not_one_for_the_other(keys: KeyFile) -> None:
    text, key = keys.create("checkout", ["produce"], NOW)
    assert re.fullmatch(r"dlk_[0-9a-f]{12}_[\w-]{43}", text)
    assert keys.find(text, NOW) == key
    session = keys.begin_session(text, NOW, HOURS)
    assert session is not None
    assert keys.find_session(session, NOW) == key
    assert keys.find(session, NOW) is None
    assert keys.find_session(text, NOW) is None
    for wrong in ("", "dlk", text[:-1], text + "x", text.replace(key.id, "0" * 12), f"dlk_{key.id}_", text.upper()):
        assert keys.find(wrong, NOW) is None, wrong


def test_the_file_holds_no_key_and_no_session_and_is_its_owners_alone(keys: KeyFile) -> None:
    text, _ = keys.create("checkout", ["produce"], NOW)
    session = keys.begin_session(text, NOW, HOURS)
    assert session is not None
    files = [keys.path, keys.path.with_name("api-sessions.json")]
    for secret in (text.partition("_")[2].partition("_")[2], session.partition("_")[2]):
        assert all(secret not in file.read_text() for file in files)
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600]


def test_a_session_ends_at_sign_out_and_after_its_time_in_every_process(keys: KeyFile) -> None:
    text, key = keys.create("ada", ["read"], NOW)
    one, other = (keys.begin_session(text, NOW, HOURS) for _ in range(2))
    assert one is not None
    assert other is not None
    assert keys.begin_session(text + "x", NOW, HOURS) is None
    process = KeyFile(keys.path)
    assert process.find_session(one, NOW) == key
    assert process.find_session(other, NOW + HOURS) is None
    keys.end_session(one, NOW)
    assert (process.find_session(one, NOW), process.find_session(other, NOW)) == (None, key)
    again = process.begin_session(text, NOW + HOURS, HOURS)
    assert again is not None
    assert len(json.loads(keys.path.with_name("api-sessions.json").read_text())) == 1  # what is over is not kept
    assert keys.find_session(again, NOW + HOURS) == key
    keys.path.with_name("api-sessions.json").write_text("no sessions")
    assert keys.find_session(again, NOW + HOURS) is None


def test_where_no_sessions_can_be_written_they_are_the_process_s(keys: KeyFile, tmp_path: Path) -> None:
    """As with keys from a Secret of Kubernetes."""
    text, key = keys.create("ada", ["read"], NOW)
    (keys.path.parent / "api-sessions.json.lock").mkdir()
    session = keys.begin_session(text, NOW, HOURS)
    assert session is not None
    assert keys.find_session(session, NOW) == key
    keys.end_session(session, NOW)
    assert keys.find_session(session, NOW) is None


def test_a_held_lock_keeps_no_key_good(keys: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.access.key_file.LOCK_SECONDS", 0.1)
    text, key = keys.create("ada", ["admin"], NOW)
    with file_lock(keys.path.with_name("api-keys.json.lock")):
        with pytest.raises(KeyFileError, match="another process holds the lock"):
            keys.create("new", ["admin"], NOW)
        keys.revoke(key.id, NOW)
    assert keys.find(text, NOW) is None
    assert [one.name for one in keys.all()] == ["ada"]


def test_revoked_and_expired_keys_are_not_found_by_a_reader_that_had_them(keys: KeyFile) -> None:
    text, key = keys.create("ada", ["read"], NOW, NOW + timedelta(days=1))
    session = keys.begin_session(text, NOW, HOURS)
    assert session is not None
    reader = KeyFile(keys.path)
    assert reader.find(text, NOW) == key
    assert reader.find(text, NOW + timedelta(days=1)) is None
    keys.revoke(key.id, NOW)
    assert reader.find(text, NOW) is None
    assert reader.find_session(session, NOW) is None
    assert keys.revoke(key.id, NOW + timedelta(days=2)).revoked_at == NOW
    with pytest.raises(KeyFileError, match=r"no key 'x' in .*driftline keys list"):
        keys.revoke("x", NOW)


def test_writers_at_the_same_time_lose_no_key(keys: KeyFile) -> None:
    threads = [
        threading.Thread(target=lambda i=i: KeyFile(keys.path).create(f"key {i}", ["read"], NOW)) for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.name for key in keys.all()} == {f"key {i}" for i in range(8)}


def test_what_is_no_file_of_keys_is_named(keys: KeyFile) -> None:
    keys.path.parent.mkdir()
    keys.path.write_text('{"keys": [{"id": "a"}]}')
    with pytest.raises(KeyFileError, match=r"^keys_file: .*api-keys\.json is no file of keys: .*name"):
        keys.all()
    with pytest.raises(KeyFileError, match=r"^name: "):
        keys.create(" ", ["read"], NOW)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_on_this_machine_the_api_may_be_open_and_says_so(host: str, tmp_path: Path) -> None:
    assert "OPEN" in (check_open(load_settings(api_host=host, state_dir=tmp_path)) or "")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "monitor.example.org"])
def test_elsewhere_it_is_not_served_without_keys(host: str, tmp_path: Path) -> None:
    settings = load_settings(api_host=host, state_dir=tmp_path)
    with pytest.raises(OpenApi, match=rf"^api_host: {re.escape(host)} .*driftline keys create"):
        check_open(settings)
    assert "OPEN" in (check_open(settings.model_copy(update={"allow_unauthenticated_api": True})) or "")
    KeyFile(tmp_path / "api-keys.json").create("ada", ["admin"], NOW)
    assert check_open(settings) is None


def test_the_page_names_commands_and_settings_that_there_are() -> None:
    page = (DOCS / "security.md").read_text()
    lines = [
        line for block in re.findall(r"^```\n(.*?)^```$", page, re.MULTILINE | re.DOTALL) for line in block.splitlines()
    ]
    typed = [line for line in lines if line.startswith("driftline ")]
    assert len(typed) > 4
    for line in typed:
        parse(shlex.split(line)[1:])
    named = re.findall(r"DRIFTLINE_([A-Z_]+)", page)
    assert {name.lower() for name in named} <= set(Settings.model_fields)


def test_the_commands_make_list_and_revoke(tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        answer = CliRunner().invoke(app, ["keys", *arguments, "--state-dir", str(tmp_path)])
        assert answer.exit_code == 0, answer.output
        return answer.stdout

    text = run("create", "--name", "ada", "--role", "read", "--role", "produce", "--days", "9").splitlines()[0]
    found = KeyFile(tmp_path / "api-keys.json").find(text, datetime.now(UTC))
    assert found is not None
    assert found.roles == ("produce", "read")
    assert f"{found.id}  active  produce, read" in run("list")
    assert '"state":"revoked"' in run("revoke", found.id, "--json")
    assert text not in run("list", "--json")
