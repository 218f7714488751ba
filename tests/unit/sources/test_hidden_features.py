"""Features that a registration drops or hashes are in no event that a source sends."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from app.core.values.hiding import check_of
from app.registration.hidden_values import together
from app.sources.hiding import SourceHiding
from app.sources.source import EventSource
from tests.support.source_records import declared, json_records
from topics.events import Hidden

KEY = b"a key that nobody may know, of 32 bytes"
HASHED = "h" + hmac.new(KEY, b"C-0042", hashlib.sha256).hexdigest()[:32]


class Models:
    """Registrations with the hidden columns of each model version."""

    def __init__(self, **hidden: Hidden | None) -> None:
        self.revision = 0
        self.hidden: dict[str, Hidden | None] = hidden

    def hidden_of(self, model: str, version: str) -> Hidden | None:
        return self.hidden.get(version, together([one for one in self.hidden.values() if one is not None]))


def document(version: str) -> dict[str, Any]:
    return {"id": version, "time": 1_780_000_000, "v": version, "truth": 1,
            "features": {"name": "Aino", "customer": "C-0042", "age": 41}}  # fmt: skip


async def test_features_are_hidden_as_the_newest_registration_says() -> None:
    hidden = Hidden(redact=("name",), hash=("customer",), key_check=check_of(KEY))
    models = Models(**{"1": hidden, "2": None})
    source, hiding = EventSource(declared("both", version="v"), None), SourceHiding(models, KEY)

    async def features(version: str, hiding: SourceHiding = hiding) -> Any:
        mapped = await source.map_one(json_records([document(version)])[0], hiding)
        return getattr(mapped.events[0], "features", None) if mapped.events else mapped.rejected

    assert await features("1") == {"customer": HASHED, "age": 41}
    assert await features("2") == document("2")["features"]
    assert await features("unregistered") == {"customer": HASHED, "age": 41}, "as any version of the model hides"
    models.hidden["2"] = hidden
    models.revision += 1
    assert await features("2") == {"customer": HASHED, "age": 41}
    without_key = SourceHiding(models, None)
    assert await features("2", without_key) == "hash_key: is not set here, and customer may be sent as a hash alone"
    run = await source.map(json_records([document("1")]), without_key)
    assert (run.predictions, run.feedback, len(run.rejected)) == ([], [], 1)
