"""Extras of the server's distribution: packages that one feature needs, and the error where they are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.settings.settings import SettingsError

EXTRAS = {
    "apprise": frozenset({"apprise"}),
    "email": frozenset({"aiosmtplib", "matplotlib", "PIL"}),
    "models": frozenset({"joblib", "sklearn"}),
    "postgresql": frozenset({"psycopg"}),
    "slack": frozenset({"slack_sdk"}),
    "tracing": frozenset({"opentelemetry"}),
}
"""Modules that each extra installs, by their top-level names."""


class MissingExtra(SettingsError):
    """Error: a feature is set up or called whose extra is not installed."""


@contextmanager
def needing(extra: str, what: str) -> Iterator[None]:
    """Run imports that the extra makes possible. `what`: the setting or the command that needs them.

    Raises MissingExtra where a package of the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in EXTRAS[extra]:
            raise
        raise MissingExtra(
            f'{what}: {error.name} is not installed; the extra {extra} has it: pip install "driftline-server[{extra}]"'
        ) from None
