"""GET and POST /sign-in, POST /sign-out: a browser's session in exchange for an API key."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from pathlib import Path
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Request, Response

from api.bodies import read_body
from api.door import SESSION_COOKIE, caller_of
from api.problems import Problem
from app.access import KeyFile, session_of

STATIC = Path(__file__).parent.parent / "static"
SESSION_SECONDS = 12 * 3600
HOME = "/dashboard"
PARTS = {"sign-in.css": "text/css", "sign-in.js": "text/javascript", "again.js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",  # with none, browsers do not say where a form comes from
}

router = APIRouter()


@router.get("/sign-in", include_in_schema=False)
async def page(request: Request, to: str = HOME) -> Response:
    """The form; whoever is signed in goes on."""
    caller = caller_of(request)
    if caller.is_open or caller.key is not None:
        return _see(to)
    return _form(to, "")


@router.get("/sign-in/{name}", include_in_schema=False)
async def part(name: str) -> Response:
    """Its style, and the scripts that keep the view that was asked for."""
    if name not in PARTS:
        raise Problem(404, f"the form has no {name!r}")
    return Response((STATIC / name).read_bytes(), media_type=PARTS[name], headers={"Cache-Control": "no-cache"})


@router.post("/sign-in", include_in_schema=False)
async def sign_in(request: Request, to: str = HOME) -> Response:
    """Set the session's cookie where the key is good; else the form again, with 401."""
    given = parse_qs((await read_body(request)).decode("utf-8", "replace")).get("key", [""])[0].strip()
    keys = request.app.state.keys
    assert isinstance(keys, KeyFile)
    if keys.find(given, datetime.now(UTC)) is None:
        return _form(to, "This key is unknown, expired or revoked.", 401)
    answer = _see(to)
    answer.set_cookie(
        SESSION_COOKIE, session_of(given), max_age=SESSION_SECONDS, httponly=True, samesite="strict",
        secure=request.url.scheme == "https",
    )  # fmt: skip
    return answer


@router.post("/sign-out", include_in_schema=False)
async def sign_out() -> Response:
    """Forget the session."""
    answer = _see("/sign-in")
    answer.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")
    return answer


def _form(to: str, wrong: str, status: int = 200) -> Response:
    text = (STATIC / "sign-in.html").read_text("utf-8")
    alert = f'<p class="wrong" role="alert" id="wrong">{escape(wrong)}</p>' if wrong else ""
    page = text.replace("{to}", escape(quote(_ours(to), safe="/"))).replace("{wrong}", alert)
    return Response(page, status_code=status, media_type="text/html; charset=utf-8", headers=HEADERS)


def _see(to: str) -> Response:
    return Response(status_code=303, headers={"Location": _ours(to)})


def _ours(to: str) -> str:
    """A path of this API: nobody is sent elsewhere by a link that leads here."""
    sound = to.startswith("/") and not to.startswith("//") and "\\" not in to and to.isascii() and to.isprintable()
    return to if sound else HOME
