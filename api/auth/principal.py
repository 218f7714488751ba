"""The caller of a request: identified by an API key in a header or by a session, or anybody where there are no keys."""

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
"""Key of the ASGI scope for the caller."""
WRONG_KEY = "driftline.wrong_key"
"""Key of the ASGI scope for the function that counts an invalid key."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Caller of a request. `key` is None where the API is open, or where the request has no valid key."""

    key: Key | None
    is_open: bool = False
    by_session: bool = False
    said_something: bool = False
    """True where the request has a key or a session, valid or not."""

    def allows(self, role: Role) -> bool:
        """Return whether the caller has a role."""
        return self.is_open or (self.key is not None and self.key.allows(role))

    @property
    def models(self) -> tuple[str, ...] | None:
        """Return the only models that the key is for; None where it is for all."""
        return None if self.key is None or not self.key.models else self.key.models

    def is_for(self, model: str) -> bool:
        """Return whether the key is for a model."""
        return self.models is None or model in self.models

    def refusal(self, model: str) -> str:
        """Return the reason why nothing about a model may be sent or read; empty where it may."""
        if self.is_for(model):
            return ""
        assert self.key is not None
        return f"model: key {self.key.id} is for {', '.join(self.key.models)} alone"

    def model_of(self, model: str | None) -> str | None:
        """Return the model that a request is about: the key's only model where the request names none.

        Raises Problem 403 for a model that the key is not for, 422 where the key is for several models and none is
        named.
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
        """Return the audit event of a change that this caller makes."""
        name, number = ("", "") if self.key is None else (self.key.name, self.key.id)
        return by_key(action, subject, name, number, detail)


OPEN_TO_ALL = Principal(None, is_open=True)


def identified(headers: Mapping[bytes, bytes], keys: KeyFile) -> Principal:
    """Return the caller according to a request's headers; a key comes before a session. Raises KeyFileError."""
    text = _given_key(headers)
    if text is not None:
        return Principal(keys.find(text, datetime.now(UTC)), said_something=True)
    session = session_in(headers)
    if session is not None:
        return Principal(keys.find_session(session, datetime.now(UTC)), by_session=True, said_something=True)
    return Principal(None)


def session_in(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the session cookie; None without one."""
    found = headers.get(b"cookie")
    if found is None:
        return None
    try:
        morsel = SimpleCookie(found.decode("latin-1")).get(SESSION_COOKIE)
    except CookieError:
        return None
    return None if morsel is None else morsel.value


def caller_of(request: Request) -> Principal:
    """Return the caller that the authentication admitted."""
    found = request.scope[CALLER]
    assert isinstance(found, Principal)
    return found


def check_model(request: Request, model: str) -> None:
    """Refuse a model that the caller's key is not for. Raises Problem 403."""
    if refusal := caller_of(request).refusal(model):
        raise Problem(403, refusal)


def count_wrong_key(request: Request) -> None:
    """Count an invalid key of a form like one in a header. Raises Problem 429 where there are too many."""
    request.scope[WRONG_KEY]()


def still_reads(request: Request) -> bool:
    """Return whether the caller would be admitted again; a stream may last longer than its key."""
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
