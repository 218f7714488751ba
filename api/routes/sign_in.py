"""GET and POST /sign-in, POST /sign-out: a browser's session in exchange for an API key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Request, Response

from api.auth import SESSION_COOKIE, caller_of, count_wrong_key, session_in
from api.http.problems import Problem
from api.http.proxy import root_of
from api.intake.bodies import read_body
from app.access import KeyFile

STATIC = Path(__file__).parent.parent / "static"
SESSION_SECONDS = 12 * 3600
HOME = "/dashboard"
MOST_FIELDS = 8
PARTS = {"sign-in.css": "text/css", "sign-in.js": "text/javascript", "again.js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",  # with none, browsers do not say where a form comes from
}

router = APIRouter()


@router.get("/sign-in", include_in_schema=False)
async def page(request: Request, to: str = HOME) -> Response:
    """Return the form; redirect a caller who is already signed in."""
    caller = caller_of(request)
    if caller.is_open or caller.key is not None:
        return _see(request, to)
    return _form(request, to, "")


@router.get("/sign-in/{name}", include_in_schema=False)
async def part(name: str) -> Response:
    """Return the form's style, or a script that keeps the requested view."""
    if name not in PARTS:
        raise Problem(404, f"the form has no {name!r}")
    return Response((STATIC / name).read_bytes(), media_type=PARTS[name], headers={"Cache-Control": "no-cache"})


@router.post("/sign-in", include_in_schema=False)
async def sign_in(request: Request, to: str = HOME) -> Response:
    """Set the session's cookie where the key is valid; else return the form again, with 401."""
    given = _key_in(await read_body(request))
    keys = request.app.state.keys
    assert isinstance(keys, KeyFile)
    session = keys.begin_session(given, datetime.now(UTC), timedelta(seconds=SESSION_SECONDS))
    if session is None:
        count_wrong_key(request)
        return _form(request, to, "This key is unknown, expired or revoked.", 401)
    answer = _see(request, to)
    answer.set_cookie(
        SESSION_COOKIE, session, max_age=SESSION_SECONDS, httponly=True, samesite="strict",
        secure=_is_https(request), path=_home_of_cookies(request),
    )  # fmt: skip
    return answer


def _key_in(body: bytes) -> str:
    """Return the key of a form. Raises Problem 400 for a body that is not this form."""
    try:
        return parse_qs(body.decode("utf-8", "replace"), max_num_fields=MOST_FIELDS).get("key", [""])[0].strip()
    except ValueError:
        raise Problem(400, f"more than {MOST_FIELDS} fields: this is not the form of /sign-in") from None


@router.post("/sign-out", include_in_schema=False)
async def sign_out(request: Request) -> Response:
    """End the session, here and in the browser."""
    keys, session = request.app.state.keys, session_in(dict(request.scope["headers"]))
    assert isinstance(keys, KeyFile)
    if session is not None:
        keys.end_session(session, datetime.now(UTC))
    answer = _see(request, "/sign-in")
    answer.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict", path=_home_of_cookies(request))
    return answer


def _form(request: Request, to: str, wrong: str, status: int = 200) -> Response:
    text = (STATIC / "sign-in.html").read_text("utf-8")
    alert = f'<p class="wrong" role="alert" id="wrong">{escape(wrong)}</p>' if wrong else ""
    page = (
        text.replace("{root}", escape(root_of(request.scope)))
        .replace("{to}", escape(quote(_ours(request, to), safe="/")))
        .replace("{wrong}", alert)
    )
    return Response(page, status_code=status, media_type="text/html; charset=utf-8", headers=HEADERS)


def _see(request: Request, to: str) -> Response:
    return Response(status_code=303, headers={"Location": _ours(request, to)})


def _ours(request: Request, to: str) -> str:
    """Return a path of this API as a browser requests it, so that no link to this page redirects to another site."""
    root = root_of(request.scope)
    sound = to.startswith("/") and not to.startswith("//") and "\\" not in to and to.isascii() and to.isprintable()
    if not sound:
        return root + HOME
    return to if not root or to == root or to.startswith(f"{root}/") else root + to


def _is_https(request: Request) -> bool:
    """Return whether browsers reach the page by HTTPS, according to the request or `public_url`."""
    public = request.app.state.services.settings.public_url or ""
    return request.url.scheme == "https" or public.startswith("https://")


def _home_of_cookies(request: Request) -> str:
    """Return the path with which browsers send a session; other applications on the same host do not receive it."""
    return root_of(request.scope) or "/"
