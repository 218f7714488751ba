"""Responses as JSON, encoded by msgspec."""

from __future__ import annotations

import msgspec
from fastapi import Response

JSON = "application/json"


def answer(value: object, status: int = 200) -> Response:
    """Return a JSON response; events and reports keep their wire form."""
    return Response(msgspec.json.encode(value), status_code=status, media_type=JSON)
