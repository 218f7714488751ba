"""The API over ASGI, with a Kafka that keeps what is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import httpx

from api.app import create_app
from api.services import Services
from app.kafka.producer import Headers, NotSent, Outgoing
from app.settings.settings import Settings, load_settings
from tests.support.reports import StubRecord
from topics.registry import Topic


class Kafka:
    """Takes what is sent, as Kafka would: a record for each, and nothing refused."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.topics: list[Topic] = []
        """Of single records."""

    async def partitions(self, topic: Topic) -> int:
        return 3

    async def send(
        self, topic: Topic, key: bytes | None, value: bytes, partition: int | None = None, headers: Headers = ()
    ) -> None:
        self.sent.append(Outgoing(key, value, partition, headers))
        self.topics.append(topic)

    async def send_many(self, topic: Topic, records: Sequence[Outgoing]) -> list[NotSent]:
        self.sent += records
        return []


class Api:
    """The API over ASGI, without a key, whose Kafka remembers."""

    def __init__(self, state: Path) -> None:
        chosen = load_settings(bootstrap_servers="127.0.0.1:1", state_dir=state)
        app = create_app(chosen)
        self.kafka = Kafka()
        self.told = ""
        self.runner = asyncio.Runner()
        self.services = app.state.services = self.runner.run(services_of(chosen))
        self.services.hider.is_loaded = True
        self.services.producer = self.kafka  # type: ignore[assignment]  # as much of it as is used
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1:8700")

    def post(
        self, path: str, body: bytes, kind: str = "application/json", headers: dict[str, str] | None = None
    ) -> list[StubRecord]:
        """The records that a request becomes. What is not taken is said: nothing fails."""
        self.kafka.sent = []
        given = {"content-type": kind, **(headers or {})}
        answer = self.runner.run(self.client.post(path, content=body, headers=given))
        assert answer.status_code in (200, 202, 400, 422), answer.text
        self.told = answer.text
        return [StubRecord(i, one.value, one.key, headers=one.headers) for i, one in enumerate(self.kafka.sent)]  # type: ignore[arg-type]

    def close(self) -> None:
        self.services.served_models.close()
        self.services.history.close()
        self.runner.run(self.client.aclose())
        self.runner.close()


async def services_of(chosen: Settings) -> Services:
    return Services(chosen, None)


def cloud_event(number: int, data: object) -> dict[str, object]:
    return {"specversion": "1.0", "id": f"e{number}", "source": "s", "type": "prediction", "data": data}
