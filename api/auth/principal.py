"""Who asks: by an API key in a header, by the dashboard's session, or anybody where the door is open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookies import CookieError, SimpleCookie

from fastapi import Request

from api.auth.permissions import SESSION_COOKIE
from api.http.problems import Problem
from app.access import Key, KeyFile, KeyFileError, Role
from app.kafka.audit import by_key
from topics.events import Action, AuditEvent

BEARER = b"bearer "
CALLER = "driftline.caller"
"""Where the scope has it."""
WRONG_KEY = "driftline.wrong_key"
"""Where the scope has what counts a key that is not good."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `key` is None where the door is open, or nobody has said."""

    key: Key | None
    is_open: bool = False
    by_session: bool = False
    said_something: bool = False
    """A key or a session was given, though it is not good."""

    def allows(self, role: Role) -> bool:
        """Whether this one may."""
        return self.is_open or (self.key is not None and self.key.allows(role))

    @property
    def models(self) -> tuple[str, ...] | None:
        """The only models that the key is for; None where it is for all."""
        return None if self.key is None or not self.key.models else self.key.models

    def is_for(self, model: str) -> bool:
        """Whether the key is for a model."""
        return self.models is None or model in self.models

    def refusal(self, model: str) -> str:
        """Return why nothing of a model may be sent or read; empty where it may."""
        if self.is_for(model):
            return ""
        assert self.key is not None
        return f"model: key {self.key.id} is for {', '.join(self.key.models)} alone"

    def model_of(self, model: str | None) -> str | None:
        """Return the model that something sent is about: the key's only one where none is named.

        Raises Problem 403 for another's, 422 where the key is for several and none is named.
        """
        its = self.models
        if its is None:
            return model
        if model is None:
            if len(its) > 1:
                raise Problem(422, f"model: missing; the key is for {', '.join(its)}: name one")
            return its[0]
        if refusal := self.refusal(model):
            raise Problem(403, refusal)
        return model

    def audited(self, action: Action, subject: str, detail: Mapping[str, str] | None = None) -> AuditEvent:
        """Return the note that this one changes something."""
        name, number = ("", "") if self.key is None else (self.key.name, self.key.id)
        return by_key(action, subject, name, number, detail)


OPEN_TO_ALL = Principal(None, is_open=True)


def identified(headers: Mapping[bytes, bytes], keys: KeyFile) -> Principal:
    """The caller by a request's headers; a key comes before a session. Raises KeyFileError."""
    text = _given_key(headers)
    if text is not None:
        return Principal(keys.find(text, datetime.now(UTC)), said_something=True)
    session = session_in(headers)
    if session is not None:
        return Principal(keys.find_session(session, datetime.now(UTC)), by_session=True, said_something=True)
    return Principal(None)


def session_in(headers: Mapping[bytes, bytes]) -> str | None:
    """The session cookie, if there is one."""
    found = headers.get(b"cookie")
    if found is None:
        return None
    try:
        morsel = SimpleCookie(found.decode("latin-1")).get(SESSION_COOKIE)
    except CookieError:
        return None
    return None if morsel is None else morsel.value


def caller_of(request: Request) -> Principal:
    """Who the door let in."""
    found = request.scope[CALLER]
    assert isinstance(found, Principal)
    return found


def check_model(request: Request, model: str) -> None:
    """Refuse what a key is not for. Raises Problem 403."""
    if refusal := caller_of(request).refusal(model):
        raise Problem(403, refusal)


def count_wrong_key(request: Request) -> None:
    """Count a key that is not good as the door counts those in headers. Raises Problem 429 where there are too many."""
    request.scope[WRONG_KEY]()


def still_reads(request: Request) -> bool:
    """Whether who was let in would be let in again: a stream may last longer than a key."""
    keys = request.app.state.keys
    assert isinstance(keys, KeyFile)
    if caller_of(request).is_open:
        return not keys.exists
    try:
        return identified(dict(request.scope["headers"]), keys).allows("read")
    except KeyFileError:
        return False


def _given_key(headers: Mapping[bytes, bytes]) -> str | None:
    given = headers.get(b"authorization", b"")
    if given[: len(BEARER)].lower() == BEARER:
        return given[len(BEARER) :].strip().decode("latin-1")
    other = headers.get(b"x-api-key")
    return None if other is None else other.strip().decode("latin-1")
