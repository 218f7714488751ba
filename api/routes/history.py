"""GET /history…: a route for each kind of history, with a parameter for each of its filters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import datetime
from inspect import Parameter, Signature
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection

from api.auth import caller_of, check_model
from api.http.parameters import Moment
from api.http.problems import Problem, unavailable
from api.http.responses import answer
from api.services import Services, Serving
from app.history import HistoryError, HistoryTimeout
from app.history.kinds import HISTORY_KINDS, HistoryKind
from app.history.wanted import HistoryFilter, Option

router = APIRouter()

IN_EVERY_KIND = {one.name for one in HistoryFilter.options()}
Cursor = Annotated[str | None, Query(description="the rest of a list: `next` of the part before", max_length=8000)]


def route_of(kind: HistoryKind) -> Callable[..., Awaitable[Response]]:
    """Return the route function of a kind, for FastAPI."""

    async def route(services: Services, request: Request, cursor: str | None, **given: Any) -> Response:
        if given["model"] is not None:
            check_model(request, given["model"])
            if not kind.of_models:
                raise Problem(422, f"model: the {kind.name} is not of models; subject names what was changed")
        wanted = _wanted(kind, {**given, "models": caller_of(request).models}, cursor)
        return await _answered(kind, wanted, services, request)

    route.__name__ = kind.name
    route.__doc__ = kind.description
    if not kind.of_models:
        route.__doc__ += " No model is taken: changes belong to the whole installation."
    route.__dict__["__signature__"] = Signature(list(_parameters(kind)), return_annotation=Response)
    return route


def _parameters(kind: HistoryKind) -> Iterator[Parameter]:
    yield Parameter("services", Parameter.KEYWORD_ONLY, annotation=Serving)
    yield Parameter("request", Parameter.KEYWORD_ONLY, annotation=Request)
    for one in sorted(kind.options(), key=lambda one: one.name in IN_EVERY_KIND):
        yield Parameter(one.name, Parameter.KEYWORD_ONLY, default=one.default, annotation=_query(one))
    yield Parameter("cursor", Parameter.KEYWORD_ONLY, default=None, annotation=Cursor)


def _query(one: Option) -> Any:
    """Return the type of a parameter, with its description and bounds."""
    bounds: dict[str, Any] = {"max_length": 200} if one.type is str else {}
    if one.name == "limit":
        bounds = {"ge": 1, "le": 1000}
    given = Moment if one.type is datetime else one.type
    return Annotated[given | None if one.default is None else given, Query(description=one.words.help, **bounds)]


def _wanted(kind: HistoryKind, filters: dict[str, Any], cursor: str | None) -> HistoryFilter:
    try:
        after = None if cursor is None else kind.order.read(cursor)
        return kind.filters(**filters, after=after)
    except ValueError as error:
        raise Problem(422, str(error)) from None


async def _answered(kind: HistoryKind, wanted: HistoryFilter, services: Services, request: Request) -> Response:
    """Query the history for one row more than the limit, so that `next` is known. Encode in the same thread."""

    def ask(connection: Connection) -> Response:
        found = kind.query(connection, replace(wanted, limit=wanted.limit + 1))
        shown = found[: wanted.limit]
        rest = kind.order.cursor(shown[-1]) if len(found) > len(shown) else None
        return answer({kind.name: shown, "next": rest})

    try:
        return await services.history.ask(request, ask)
    except HistoryTimeout as error:
        raise Problem(504, str(error)) from None
    except HistoryError as error:
        raise unavailable(str(error)) from None


for _kind in HISTORY_KINDS:
    router.get(_kind.path)(route_of(_kind))
