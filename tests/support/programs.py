"""Programs of others that tests use; `.ci/tools` installs them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import pytest

from app.kafka.errors import BrokerError
from app.local.kafka_jars import find_java


def lacking(reason: str) -> NoReturn:
    """Skip the test for what this machine lacks. In CI, which has everything, fail it."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def program(name: str, package: str, others: Iterable[Path] = ()) -> str:
    """Return the path of a program on PATH, else the first of `others` that exists; `lacking` where there is none."""
    found = shutil.which(name) or next((str(path) for path in others if path.exists()), None)
    return found or lacking(f"{name} is not here: apt-get install {package}")


def chromium() -> str:
    """Return the path of Debian's Chromium."""
    return program("chromium", "chromium", [Path("/usr/bin/chromium")])


def find_java_or_skip() -> str:
    """Return the path of a Java that runs Kafka."""
    try:
        return find_java()
    except BrokerError as error:
        lacking(str(error))
