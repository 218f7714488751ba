"""Printed output of the commands of `driftline dead-letters`."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.commands.options import is_terminal, print_json

if TYPE_CHECKING:
    from app.commands.dead_letters.groups import LetterGroup
    from app.commands.dead_letters.resend import How, Resent
    from app.ingest.letters import Letter

PLAIN_EVERY = 2.0
"""Seconds between progress lines where there is no terminal."""
SHOWN = 500
"""Characters of a value that are shown by default."""


def print_resent(resent: Resent, how: How, *, as_json: bool) -> None:
    """Print the counts of letters sent again, and the reasons why others were left out."""
    if as_json:
        print_json({"sent": resent.sent, "left_out": resent.left_out, "dry_run": how.dry_run})
        return
    if not resent.looked_at:
        print("no dead letters are like that: driftline dead-letters list")
        return
    by_topic = f" ({', '.join(f'{n:,} {topic}' for topic, n in resent.sent.items())})" if resent.sent else ""
    print(f"{'would send' if how.dry_run else 'sent'} {resent.sent.total():,}{by_topic}")
    for words, n in resent.left_out.most_common():
        print(f"left out {n:,}: {words}")


def row_of(one: LetterGroup) -> tuple[str, ...]:
    """Return a row of the table of groups."""
    named = f"{one.model} {one.model_version}" if one.model is not None else ""
    first, last = (f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (one.first, one.last))
    return f"{one.letters:,}", f"{one.open:,}", first, last, one.topic, named, one.reason


def json_of(letter: Letter, *, resent: bool) -> dict[str, object]:
    """Return a dead letter as a JSON object."""
    topic, partition, offset = letter.origin or (None, None, None)
    model, version = letter.version or (None, None)
    return {
        "id": letter.offset, "at": letter.at, "topic": topic, "partition": partition, "offset": offset,
        "reason": letter.reason, "model": model, "model_version": version, "resent": resent,
        **_text_of("key", letter.key), **_text_of("value", letter.value),
        "headers": [{"name": name, **_text_of("value", value)} for name, value in letter.headers],
    }  # fmt: skip


def _text_of(name: str, raw: bytes | None) -> dict[str, str | None]:
    """Return bytes as JSON fields: as text, or in base 64 where they are not UTF-8."""
    try:
        return {name: None if raw is None else raw.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(raw or b"").decode()}


def print_letter(letter: Letter, *, resent: bool, whole: bool) -> None:
    """Print a dead letter. Shorten a long value unless `whole` is set."""
    where = "the API" if letter.origin is None else "{} partition {} offset {}".format(*letter.origin)
    print(f"{letter.offset}  {letter.at:%Y-%m-%d %H:%M:%S}  {where}{'  (sent again)' if resent else ''}")
    print(f"  reason  {letter.reason}")
    for name, raw in (("key", letter.key), ("value", letter.value)):
        text = "none" if raw is None else _printable(raw)
        more = f"… ({len(text):,} characters; --id {letter.offset} shows all)"
        print(f"  {name:<6}  {text if whole or len(text) <= SHOWN else text[:SHOWN] + more}")


def _printable(raw: bytes) -> str:
    """Return bytes as text that is safe for a terminal: invalid UTF-8 and control characters are escaped."""
    text = raw.decode(errors="backslashreplace")
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


@contextmanager
def progress_of(*, quiet: bool) -> Iterator[Callable[[Resent], None]]:
    """Yield a progress callback: a counter on a terminal, otherwise a line every PLAIN_EVERY seconds, nothing when
    quiet.
    """
    if quiet:
        yield lambda resent: None
        return
    if not is_terminal():
        yield _plain()
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    words = TextColumn("{task.completed:,} sent again, {task.fields[left_out]:,} left out")
    with Progress(SpinnerColumn(), words, TimeElapsedColumn(), transient=True) as bar:
        task = bar.add_task("resend", total=None, left_out=0)
        yield lambda resent: bar.update(task, completed=resent.sent.total(), left_out=resent.left_out.total())


def _plain() -> Callable[[Resent], None]:
    last = time.monotonic()

    def tell(resent: Resent) -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_EVERY:
            last = time.monotonic()
            print(f"{resent.sent.total():,} sent again, {resent.left_out.total():,} left out", flush=True)

    return tell
