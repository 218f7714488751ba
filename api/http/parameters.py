"""Query parameters: unknown and repeated parameters, and times without a zone, are refused by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import AfterValidator

from api.http.problems import WRITE_IT, Problem
from app.core.config.close_names import did_you_mean

PAGES = ("/dashboard", "/sign-in", "/sign-out")
"""Paths that browsers open. Chats and mails add parameters of their own to such addresses."""


async def known_parameters(request: Request) -> None:
    """Refuse parameters that a route does not have. Raises Problem 422, which names each parameter.

    The function is async although it awaits nothing: FastAPI would run any other function in a thread.
    """
    route = request.scope.get("route")
    if not request.url.query or not isinstance(route, APIRoute) or route.path.startswith(PAGES):
        return
    known = sorted(set(_names(route.dependant)))
    given = Counter(name for name, _ in request.query_params.multi_items())
    wrong = [_unknown(name, known) for name in given if name not in known]
    wrong += [f"{name}: is given {n} times" for name, n in given.items() if n > 1 and name in known]
    if wrong:
        raise Problem(422, "; ".join(wrong))


def _names(dependant: Dependant) -> Iterator[str]:
    """Yield the parameters of a route and of all its dependencies."""
    yield from (field.alias for field in dependant.query_params)
    for other in dependant.dependencies:
        yield from _names(other)


def _unknown(name: str, known: list[str]) -> str:
    if not known:
        return f"{name}: is no parameter here; there are none"
    hint = did_you_mean(name, known)
    return f"{name}: is no parameter here{f' ({hint})' if hint else ''}; there are {', '.join(known)}"


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"has no time zone{WRITE_IT}")
    return moment


Moment = Annotated[datetime, AfterValidator(_aware)]
"""A time with its zone."""
