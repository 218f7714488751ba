"""GET /dashboard: a page without resources of other hosts."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request, Response

from api.auth import caller_of
from api.http.problems import Problem

STATIC = Path(__file__).parent.parent / "static"
TYPES = {".css": "text/css", ".js": "text/javascript"}
PARTS = {path.name: TYPES[path.suffix] for path in STATIC.iterdir() if path.suffix in TYPES}
SESSION = "<!-- session -->"
SIGN_OUT = '<button class="act sign-out" type="button" data-action="sign-out">Sign out</button>'
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

router = APIRouter()


@router.get("/dashboard")
def page(request: Request) -> Response:
    """Return the dashboard's page, with a button to sign out for a signed-in reader."""
    text = (STATIC / "dashboard.html").read_text("utf-8")
    return _answer(text.replace(SESSION, SIGN_OUT if caller_of(request).by_session else ""), "text/html")


@router.get("/dashboard/{name}")
def part(name: str) -> Response:
    """Return a style or script of the dashboard."""
    if name not in PARTS:
        raise Problem(404, f"the dashboard has no {name!r}")
    return _answer((STATIC / name).read_bytes(), PARTS[name])


def _answer(content: str | bytes, kind: str) -> Response:
    return Response(content, media_type=f"{kind}; charset=utf-8", headers=HEADERS)
