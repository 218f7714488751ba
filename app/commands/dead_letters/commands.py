"""`driftline dead-letters`: list dead letters with their reasons, and send them again."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.audited import AuditedChange, audited
from app.commands.dead_letters.reader import (
    OnlyId,
    OnlyModel,
    OnlyReason,
    OnlyTopic,
    OnlyVersion,
    Since,
    Until,
    known_letters,
    letters,
    wanted_of,
)
from app.commands.dead_letters.screen import json_of, print_letter, print_resent, progress_of, row_of
from app.commands.options import (
    AsJson,
    Bootstrap,
    CommandError,
    DryRun,
    Prefix,
    kafka_settings,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from app.commands.dead_letters.reader import KnownLetters, LetterFilter
    from app.commands.dead_letters.resend import How, Resent
    from app.ingest.letters import Letter
    from app.settings.settings import Settings

app = typer.Typer(no_args_is_help=True)

Everything = Annotated[bool, typer.Option("--all", help="Everything that was set aside.")]
Through = Annotated[
    str | None,
    typer.Option(help="A program that mends values: it is given one a line, and prints one a line in their order."),
]
Again = Annotated[bool, typer.Option("--again", help="Those too that were sent again before.")]
Late = Annotated[bool, typer.Option("--late", help="Those too that are too late to be counted: for the history.")]
Last = Annotated[int, typer.Option(min=1, help="The newest so many.")]
Unsent = Annotated[bool, typer.Option("--unsent", help="Only those that were not sent again.")]


@app.callback()
def group() -> None:
    """List and show records that could not be counted, and send them again.

    A record becomes a dead letter if it cannot be read, belongs to no registered model version, or is too late. Its
    bytes and key are kept unchanged, with the reason, for 30 days. All other records are counted.

    Fix the cause (the producer, the registration), then send the dead letters again. Each is counted once, however
    often it is sent: a known prediction is not counted again, and the last truth of a prediction is used.

    \b
    Examples:
      driftline dead-letters list
      driftline dead-letters show --model churn --last 3
      driftline dead-letters resend --model churn --dry-run
    """


@app.command("list")
def list_(
    reason: OnlyReason = None,
    model: OnlyModel = None,
    version: OnlyVersion = None,
    topic: OnlyTopic = None,
    since: Since = None,
    until: Until = None,
    json_: AsJson = False,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Count the dead letters by reason, topic and model version, the largest count first.

    `open` is the number of dead letters that were not sent again.

    \b
    Examples:
      driftline dead-letters list
      driftline dead-letters list --model churn --since 2026-06-01T12:00:00Z
      driftline dead-letters list --reason registered --json
    """
    from app.commands.dead_letters.groups import groups_of

    settings = kafka_settings(bootstrap_servers, prefix)
    wanted = wanted_of(settings, reason, model, version, topic, since, until)
    found = asyncio.run(groups_of(settings, wanted))
    if json_:
        for one in found:
            print_json(one)
        return
    if not found:
        print("no dead letters" if wanted.everything else "no dead letters are like that: driftline dead-letters list")
        return
    print_table(("letters", "open", "first", "last", "topic", "model", "reason"), map(row_of, found))


@app.command()
def show(
    reason: OnlyReason = None,
    model: OnlyModel = None,
    version: OnlyVersion = None,
    topic: OnlyTopic = None,
    since: Since = None,
    until: Until = None,
    id_: OnlyId = None,
    last: Last = 10,
    unsent: Unsent = False,
    json_: AsJson = False,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Show dead letters in full: the source of each, the reason, the key and the value.

    With --json, values that are not UTF-8 are in `value_base64`.

    \b
    Examples:
      driftline dead-letters show --last 3
      driftline dead-letters show --reason timestamp --model churn
      driftline dead-letters show --id 4711 --json | jq -r .value
    """
    settings = kafka_settings(bootstrap_servers, prefix)
    wanted = wanted_of(settings, reason, model, version, topic, since, until, id_)
    found, known = asyncio.run(_newest(settings, wanted, last, unsent=unsent))
    if not found and id_ is not None:
        raise CommandError(f"there is no dead letter {id_}: driftline dead-letters show lists them by their numbers")
    if not found and not json_:
        print("no dead letters" if wanted.everything else "no dead letters are like that: driftline dead-letters list")
    for letter in found:
        if json_:
            print_json(json_of(letter, resent=letter.offset in known.resent))
        else:
            print_letter(letter, resent=letter.offset in known.resent, whole=id_ is not None)


@app.command()
def resend(
    reason: OnlyReason = None,
    model: OnlyModel = None,
    version: OnlyVersion = None,
    topic: OnlyTopic = None,
    since: Since = None,
    until: Until = None,
    id_: OnlyId = None,
    every: Everything = False,
    through: Through = None,
    again: Again = False,
    late: Late = False,
    dry_run: DryRun = False,
    json_: AsJson = False,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Send dead letters again to the topics they came from, with their keys and bytes. Each counts once.

    Records of a source are mapped again, as driftline.toml declares now, and their predictions and feedback are sent.
    A dead letter that would not be counted is left out, and the reason is shown: it still cannot be read, belongs to
    no registered model version, or is older than windows.lateness allows by now; or a later truth has replaced it.
    A key that is not the prediction_id is corrected. Values that need correction go through a program, --through, one
    value a line. Sent dead letters are recorded and not sent twice. Exit status 1: a dead letter was left out.

    \b
    Examples:
      driftline dead-letters resend --all --dry-run
      driftline dead-letters resend --model churn --reason registered
      driftline dead-letters resend --reason timestamp --through ./mend.sh
      driftline dead-letters resend --since 2026-06-01T12:00:00Z --until 2026-06-01T13:00:00Z --json
    """
    from app.commands.dead_letters.resend import How

    settings = kafka_settings(bootstrap_servers, prefix)
    wanted = wanted_of(settings, reason, model, version, topic, since, until, id_)
    if wanted.everything and not every:
        raise CommandError("which? --all, or --reason, --model, --topic, --since, --id; with --dry-run nothing is sent")
    how = How(through or "", again=again, late=late, dry_run=dry_run)
    with progress_of(quiet=json_) as progress:
        resent = asyncio.run(_resend(settings, wanted, how, progress))
    print_resent(resent, how, as_json=json_)
    if resent.left_out.total():
        raise typer.Exit(1)


async def _resend(settings: Settings, wanted: LetterFilter, how: How, progress: Callable[[Resent], None]) -> Resent:
    from app.commands.dead_letters.resend import resend as run
    from app.commands.dead_letters.resend_checks import counting_of
    from app.commands.dead_letters.source_letters import feedback_keys, source_letters
    from app.commands.topic_reader import registry

    known = await known_letters(settings, wanted)
    models = await registry(settings)
    async with source_letters(settings, models) as sources:
        known.feedback_keys |= await feedback_keys(settings, wanted, known, sources, how.through)
        counting = await counting_of(settings, models, known)
        if not how.dry_run:
            asked_for = {**asdict(wanted), "through": how.through, "again": how.again, "late": how.late}
            detail = {name: str(value) for name, value in asked_for.items() if value not in (None, "", False)}
            async with audited(settings, AuditedChange("dead-letters.resent", settings.prefix, detail)):
                pass  # recorded in the audit before anything is sent
        return await run(settings, wanted, known, counting, sources, how, progress)


async def _newest(
    settings: Settings, wanted: LetterFilter, last: int, *, unsent: bool
) -> tuple[list[Letter], KnownLetters]:
    known = await known_letters(settings, wanted)
    found: deque[Letter] = deque(maxlen=last)
    async for letter in letters(settings, wanted, known):
        if not unsent or letter.offset not in known.resent:
            found.append(letter)
    return list(found), known
