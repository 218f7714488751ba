"""`driftline history audit`: who has changed what."""

from __future__ import annotations

from typing import Annotated

import typer

from app.commands.history import rows
from app.commands.history.options import Limit, Since, Until, asked, print_found, wanted_of
from app.commands.options import AsJson, HistoryUrl, StateDir


def audit(
    actor: Annotated[str | None, typer.Option(help="Only by this one: a key's name, or a user's.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this: silence.created, key.revoked, say.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only of this: a silence's id, a receiver's name, say.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    json_: AsJson = False,
    state_dir: StateDir = None,
    history_url: HistoryUrl = None,
) -> None:
    """Show who made, changed and ended silences, receivers, registrations, keys and redeliveries, the newest first.

    Who: the name of the API key, or the user who typed a command and where. - where the API asked for no key.

    \b
    Examples:
      driftline history audit --since 2026-06-01T00:00:00Z
      driftline history audit --action key.revoked --json
    """
    from app.history import queries
    from app.history.wanted import AuditFilter

    wanted = wanted_of(None, None, since, until, limit, AuditFilter, actor=actor, action=action, subject=subject)
    found = asked(state_dir, history_url, lambda connection: queries.audit(connection, wanted))
    print_found(found, json_, "nothing was changed", ("time", "who", "key", "what", "of", "detail"), rows.audited)
