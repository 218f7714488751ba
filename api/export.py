"""The OpenAPI document of the whole API, without a running server."""

from __future__ import annotations

import msgspec

from api.app import create_app
from app.settings.settings import load_settings


def openapi_json() -> str:
    """Return the OpenAPI document as text, independent of the served model."""
    document = create_app(load_settings(model_path=None)).openapi()
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"
