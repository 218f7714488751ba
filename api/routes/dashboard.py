"""GET /dashboard: one page that needs nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Response

from api.problems import Problem

STATIC = Path(__file__).parent.parent / "static"
TYPES = {".css": "text/css", ".js": "text/javascript"}
PARTS = {path.name: TYPES[path.suffix] for path in STATIC.iterdir() if path.suffix in TYPES}
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

router = APIRouter()


@router.get("/dashboard")
def page() -> Response:
    """The page."""
    return _file("dashboard.html", "text/html")


@router.get("/dashboard/{name}")
def part(name: str) -> Response:
    """Its style and scripts."""
    if name not in PARTS:
        raise Problem(404, f"the dashboard has no {name!r}")
    return _file(name, PARTS[name])


def _file(name: str, kind: str) -> Response:
    return Response((STATIC / name).read_bytes(), media_type=f"{kind}; charset=utf-8", headers=HEADERS)
