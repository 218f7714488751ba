"""GET /dashboard: one page that needs nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Response

STATIC = Path(__file__).parent.parent / "static"
TYPES = {"dashboard.html": "text/html", "dashboard.css": "text/css", "dashboard.js": "text/javascript"}
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

router = APIRouter()


def _file(name: str) -> Response:
    return Response((STATIC / name).read_bytes(), media_type=f"{TYPES[name]}; charset=utf-8", headers=HEADERS)


@router.get("/dashboard")
def page() -> Response:
    """The page."""
    return _file("dashboard.html")


@router.get("/dashboard/dashboard.css")
def style() -> Response:
    """Its style."""
    return _file("dashboard.css")


@router.get("/dashboard/dashboard.js")
def script() -> Response:
    """Its script."""
    return _file("dashboard.js")
