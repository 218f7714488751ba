"""Where an export's files are: a root for each format, in it a folder for each model version, a file for each day.

DIR/parquet/predictions/churn/1.10/2026-06-01.parquet

Folders are names alone: of `version=1.10` readers make a column of their own, and 1.1 of its value.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import msgspec

log = logging.getLogger(__name__)

MANIFEST = "exported.json"
PREDICTIONS = "predictions"
COLUMNS = Path("parquet") / "columns.parquet"
"""Sorts before `predictions`, so that it is the first file of its root."""
LONGEST_NAME = 200
"""Bytes of a folder's name, as a model's and a version's are spelt; longer ones end in their hash."""
LEFT_OUT = "._"
"""Of a folder whose name begins with one of these, Arrow reads nothing."""


class Exported(msgspec.Struct, frozen=True):
    """What a file was written from, and what came of it.

    The day's `revision`, how many rows, the file's SHA-256, and which columns beyond those of every file. `first_at`:
    when it was written first, in epoch seconds; 0 of an earlier release. `is_over`: it was kept for long enough, and is
    gone.
    """

    revision: int
    rows: int
    digest: str = ""
    columns: str = ""
    first_at: float = 0.0
    is_over: bool = False


class Manifest(msgspec.Struct):
    """The files of an export by their path, and of each folder of Parquet files the columns that all of them have."""

    files: dict[str, Exported] = {}
    columns: dict[str, dict[str, str]] = {}

    def save(self, folder: Path) -> None:
        """Write it beside the roots. Raises OSError."""
        with new_file(folder, folder / MANIFEST) as new:
            new.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1))
            put(new, folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an export; an empty one where there is none. Raises OSError."""
    path = folder / MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return Manifest()
    except msgspec.MsgspecError as error:
        log.warning("%s is left aside: %s", path, error)
        return Manifest()


def path_of(model: str, version: str, day: str, suffix: str) -> Path:
    """Return where a day's file is, below the export's folder."""
    return Path(suffix) / PREDICTIONS / _spelt(model) / _spelt(version) / f"{day}.{suffix}"


def make_private(folder: Path) -> None:
    """Make a folder and those above it that are missing, each its owner's alone."""
    for one in (*reversed(folder.parents), folder):
        if not one.exists():
            one.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Write to an export one after the other: what is being forgotten must not come back. Raises OSError."""
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(at, fcntl.LOCK_EX)
        yield
    finally:
        os.close(at)


@contextmanager
def new_file(folder: Path, path: Path) -> Iterator[Path]:
    """Give a file to write to, outside of the roots that others read; it is gone at the end unless it was `put`."""
    new = folder / f".{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.new"
    new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # its owner's alone, whatever the umask
    try:
        yield new
    finally:
        new.unlink(missing_ok=True)


def put(new: Path, path: Path) -> None:
    """Let a new file take the place of another, whole and on the disk. Raises OSError."""
    with new.open("rb") as file:
        os.fsync(file.fileno())
    make_private(path.parent)
    new.replace(path)


def adopt(folder: Path) -> None:
    """Move the files of an export as it was laid out before: model=churn/version=3/2026-06-01.jsonl. Raises OSError."""
    for old in sorted(folder.glob("model=*/version=*/*")):
        model, version = (part.partition("=")[2] for part in old.parts[-3:-1])
        suffix = old.suffix.removeprefix(".")
        path = folder / suffix / PREDICTIONS / _visible(model) / _visible(version) / old.name
        if old.name.startswith("."):
            old.unlink()  # half a file, of an export that was killed
        elif path.exists():
            log.warning("%s stays where it is: there is a %s already", old, path)
        else:
            make_private(path.parent)
            old.replace(path)
    for emptied in (*folder.glob("model=*/version=*"), *folder.glob("model=*")):
        if not any(emptied.iterdir()):
            emptied.rmdir()


def _spelt(name: str) -> str:
    """Spell a name as one folder's, whatever is in it."""
    spelt = quote(name, safe=" ")
    if len(spelt) > LONGEST_NAME:
        spelt = f"{spelt[: LONGEST_NAME - 17]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return _visible(spelt)


def _visible(spelt: str) -> str:
    return f"%{ord(spelt[0]):02X}{spelt[1:]}" if spelt[:1] in LEFT_OUT else spelt
