"""GET /openapi.json: the description of this API."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.http.proxy import root_of
from api.http.responses import answer

router = APIRouter()


@router.get("/openapi.json", include_in_schema=False)
async def document(request: Request) -> Response:
    """Return the OpenAPI document; behind a prefix, the document names the prefix as its server."""
    root = root_of(request.scope)
    return answer({**request.app.openapi(), **({"servers": [{"url": root}]} if root else {})})
