"""Correction of dead letters' values by a program of the user's, one line a value."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.commands.options import CommandError

if TYPE_CHECKING:
    from app.ingest.letters import Letter


def mended(batch: Sequence[Letter], through: str) -> list[bytes | None]:
    """Return the values to send: unchanged, or as corrected by the program, one line a value."""
    values = [letter.value for letter in batch]
    if not through:
        return values
    given = [i for i, value in enumerate(values) if value is not None]
    if not given:
        return values
    lines = b"".join(b" ".join((values[i] or b"").splitlines()) + b"\n" for i in given)
    try:
        ended = subprocess.run(shlex.split(through), input=lines, stdout=subprocess.PIPE, check=False)
    except (OSError, ValueError) as error:
        raise CommandError(f"--through: {error}") from None
    made = ended.stdout.split(b"\n")
    if made and not made[-1]:
        made.pop()
    if ended.returncode or len(made) != len(given):
        raise CommandError(
            f"--through: the program ended with status {ended.returncode} and printed {len(made):,} lines for "
            f"{len(given):,} values; it must print one for each (an empty one leaves it out). Nothing of them was sent"
        )
    for i, line in zip(given, made, strict=True):
        values[i] = line.strip() or None
    return values
