"""The description of the whole API, without a server."""

from __future__ import annotations

import msgspec

from api.app import create_app
from app.settings.settings import load_settings


def openapi_json() -> str:
    """The OpenAPI document as text, whatever is set."""
    document = create_app(load_settings(model_path=None)).openapi()
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"
