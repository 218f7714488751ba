"""`driftline keys`: keys of the API, and their roles."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import AsJson, StateDir, actor, print_json, print_table, settings_of

if TYPE_CHECKING:
    from app.access import Key, KeyFile


class RoleName(StrEnum):
    """Roles, in the form in which Typer accepts several of them."""

    PRODUCE = "produce"
    READ = "read"
    ROWS = "rows"
    METRICS = "metrics"
    ADMIN = "admin"


app = typer.Typer(no_args_is_help=True)

KeysFile = Annotated[Path | None, typer.Option("--keys-file", help="The file of keys. [default: in the state folder]")]


@app.callback()
def group() -> None:
    """Create, list and revoke the API's keys. A running API applies a change at the next request.

    \b
    Examples:
      driftline keys create --name checkout --role produce
      driftline keys list
      driftline keys revoke 1f0c2a9b7d34
    """


@app.command()
def create(
    name: Annotated[str, typer.Option(help="Whose key it is: a service, or a person.")],
    role: Annotated[
        list[RoleName],
        typer.Option(
            help="produce: sends events; read: sees all but rows of features; rows: sees those; "
            "metrics: /metrics alone; admin: all of it, and changes. May be repeated."
        ),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="Only for this model, with produce, read and rows. May be repeated."),
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, max=36_500, help="Days until it expires. [default: never]")] = None,
    json_: AsJson = False,
    keys_file: KeysFile = None,
    state_dir: StateDir = None,
) -> None:
    """Create a key and print it once: only its hash is kept.

    \b
    Examples:
      driftline keys create --name checkout --role produce
      driftline keys create --name ada --role read --role rows --days 90 --json
      driftline keys create --name team-a --role produce --role read --model churn --model fraud
    """
    now = datetime.now(UTC)
    new = _keys(keys_file, state_dir).create(
        name, [one.value for one in role], now, None if days is None else now + timedelta(days=days), model or (),
        actor(),
    )  # fmt: skip
    if json_:
        print_json({**_shown(new.key, now), "key": new.text})
        return
    print(new.text)
    may = ", ".join(new.key.roles) + (f"; of {', '.join(new.key.models)}" if new.key.models else "")
    print(f"key {new.key.id} ({may}): it is shown this once. Send it as Authorization: Bearer KEY", file=sys.stderr)


@app.command("list")
def list_(json_: AsJson = False, keys_file: KeysFile = None, state_dir: StateDir = None) -> None:
    """List the keys, oldest first.

    \b
    Examples:
      driftline keys list
      driftline keys list --json
    """
    now = datetime.now(UTC)
    found = _keys(keys_file, state_dir).all()
    if json_:
        for key in found:
            print_json(_shown(key, now))
        return
    if not found:
        print("no keys")
        return
    print_table(("id", "state", "roles", "models", "made", "expires", "name"), (_row(key, now) for key in found))


@app.command()
def revoke(
    key_id: Annotated[
        str, typer.Argument(help="The key's id: the part after dlk_, as `driftline keys list` shows it.")
    ],
    json_: AsJson = False,
    keys_file: KeysFile = None,
    state_dir: StateDir = None,
) -> None:
    """Revoke a key, with the sessions that it has opened.

    \b
    Examples:
      driftline keys revoke 1f0c2a9b7d34
    """
    now = datetime.now(UTC)
    key = _keys(keys_file, state_dir).revoke(key_id, now, actor())
    if json_:
        print_json(_shown(key, now))
    else:
        print(f"key {key.id} ({key.name}) is revoked")


def _keys(keys_file: Path | None, state_dir: Path | None) -> KeyFile:
    from app.access import KeyFile, keys_path

    return KeyFile(keys_path(settings_of(keys_file=keys_file, state_dir=state_dir)))


def _shown(key: Key, now: datetime) -> dict[str, object]:
    return {
        "id": key.id, "name": key.name, "roles": key.roles, "state": key.state(now), "created_at": key.created_at,
        "expires_at": key.expires_at, "revoked_at": key.revoked_at, "models": key.models,
        "created_by": key.created_by, "revoked_by": key.revoked_by,
    }  # fmt: skip


def _row(key: Key, now: datetime) -> tuple[str, ...]:
    expires = "never" if key.expires_at is None else f"{key.expires_at:%Y-%m-%d %H:%M}"
    roles, models = ", ".join(key.roles), ", ".join(key.models) or "all"
    return key.id, key.state(now), roles, models, f"{key.created_at:%Y-%m-%d %H:%M}", expires, key.name
