"""Layout of an export: a root for each format, a folder for each model version, a file for each day.

DIR/parquet/predictions/churn/1.10/2026-06-01.parquet

Folders have plain names. From `version=1.10`, readers would make a column of their own, with the number 1.1 as value.
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
"""Path of the file that lists all columns. It sorts before `predictions`, so that it is the first file of its root."""
LONGEST_NAME = 200
"""Longest name of a folder, in bytes of the encoded model or version. Longer names end in their hash."""
LEFT_OUT = "._"
"""First characters of names that Arrow ignores: it reads nothing of such a folder."""


class Exported(msgspec.Struct, frozen=True):
    """State of one exported file.

    `revision`: the day's revision from which the file was written. `rows`: the number of rows. `digest`: the file's
    SHA-256. `columns`: a hash of the columns that not every file has. `first_at`: when the file was first written, in
    epoch seconds; 0 for files of an earlier release. `is_over`: whether the file has expired and was deleted.
    """

    revision: int
    rows: int
    digest: str = ""
    columns: str = ""
    first_at: float = 0.0
    is_over: bool = False


class Manifest(msgspec.Struct):
    """Files of an export by path, and for each folder of Parquet files the columns that all of them have."""

    files: dict[str, Exported] = {}
    columns: dict[str, dict[str, str]] = {}

    def save(self, folder: Path) -> None:
        """Write the manifest into the export's folder. Raises OSError."""
        with new_file(folder, folder / MANIFEST) as new:
            new.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1))
            put(new, folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of an export; an empty one where it is missing or unreadable. Raises OSError."""
    path = folder / MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return Manifest()
    except msgspec.MsgspecError as error:
        log.warning("%s is left aside: %s", path, error)
        return Manifest()


def path_of(model: str, version: str, day: str, suffix: str) -> Path:
    """Return the path of a day's file, relative to the export's folder."""
    return Path(suffix) / PREDICTIONS / _spelt(model) / _spelt(version) / f"{day}.{suffix}"


def make_private(folder: Path) -> None:
    """Make a folder and its missing parents, each accessible to its owner only."""
    for one in (*reversed(folder.parents), folder):
        if not one.exists():
            one.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock an export against other writers, so that none restores forgotten rows. Raises OSError."""
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(at, fcntl.LOCK_EX)
        yield
    finally:
        os.close(at)


@contextmanager
def new_file(folder: Path, path: Path) -> Iterator[Path]:
    """Provide a temporary file outside the roots that others read.

    The file is deleted at the end unless `put` moved it to its path.
    """
    new = folder / f".{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.new"
    new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # accessible to its owner only, for any umask
    try:
        yield new
    finally:
        new.unlink(missing_ok=True)


def put(new: Path, path: Path) -> None:
    """Replace a file by a new one, after the new file is completely on the disk. Raises OSError."""
    with new.open("rb") as file:
        os.fsync(file.fileno())
    make_private(path.parent)
    new.replace(path)


def adopt(folder: Path) -> None:
    """Move the files of an export's former layout: model=churn/version=3/2026-06-01.jsonl. Raises OSError."""
    for old in sorted(folder.glob("model=*/version=*/*")):
        model, version = (part.partition("=")[2] for part in old.parts[-3:-1])
        suffix = old.suffix.removeprefix(".")
        path = folder / suffix / PREDICTIONS / _visible(model) / _visible(version) / old.name
        if old.name.startswith("."):
            old.unlink()  # partial file of an export that was killed
        elif path.exists():
            log.warning("%s stays where it is: there is a %s already", old, path)
        else:
            make_private(path.parent)
            old.replace(path)
    for emptied in (*folder.glob("model=*/version=*"), *folder.glob("model=*")):
        if not any(emptied.iterdir()):
            emptied.rmdir()


def _spelt(name: str) -> str:
    """Encode a name as the name of one folder, for any characters."""
    spelt = quote(name, safe=" ")
    if len(spelt) > LONGEST_NAME:
        spelt = f"{spelt[: LONGEST_NAME - 17]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return _visible(spelt)


def _visible(spelt: str) -> str:
    return f"%{ord(spelt[0]):02X}{spelt[1:]}" if spelt[:1] in LEFT_OUT else spelt
