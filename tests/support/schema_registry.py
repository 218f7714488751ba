"""Schema Registry with the part of Confluent's documented API that clients use."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import NAMESPACE_URL, UUID, uuid5

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"


@dataclass
class FakeRegistry:
    """Registry with `schemas` by id and the paths of its `requests`. `failing` is a status for all responses."""

    url: str = ""
    login: tuple[str, str] | None = None
    failing: int | None = None
    serialized: bool = True
    schemas: dict[int, dict[str, Any]] = field(default_factory=dict)
    subjects: dict[str, list[int]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def register(
        self, subject: str, schema: str, kind: str = "AVRO", references: Sequence[tuple[str, str, int]] = ()
    ) -> int:
        """Register a schema as a version of a subject; return its id, the same for the same schema."""
        body: dict[str, Any] = {"schema": schema} | ({} if kind == "AVRO" else {"schemaType": kind})
        if references:
            body["references"] = [{"name": n, "subject": s, "version": v} for n, s, v in references]
        number = next((i for i, known in self.schemas.items() if known == body), len(self.schemas) + 1)
        self.schemas[number] = body
        versions = self.subjects.setdefault(subject, [])
        if number not in versions:
            versions.append(number)
        return number

    def get(self, target: str) -> tuple[int, dict[str, Any]]:
        """Return the status and body of the response for a path."""
        parts = urlsplit(target)
        steps = [unquote(step) for step in parts.path.strip("/").split("/")]
        if self.failing is not None:
            return self.failing, {"error_code": self.failing * 100 + 1, "message": "not now"}
        more: dict[str, Any] = {}
        if steps[:2] == ["schemas", "ids"]:
            found = self.schemas.get(int(steps[2]))
        elif steps[:2] == ["schemas", "guids"]:
            found = next((one for n, one in self.schemas.items() if str(guid_of(n)) == steps[2]), None)
        else:
            versions = self.subjects.get(steps[1], [])
            number = versions[int(steps[3]) - 1] if len(versions) >= int(steps[3]) else 0
            found, more = self.schemas.get(number), {"subject": steps[1], "version": int(steps[3]), "id": number}
        if found is None:
            return 404, {"error_code": 40403, "message": "Schema not found"}
        if found.get("schemaType") == "PROTOBUF":
            if parse_qs(parts.query).get("format") != ["serialized"]:
                return 200, {**found, **more, "schema": 'syntax = "proto3";'}
            if not self.serialized:
                return 501, {"error_code": 501, "message": "format not supported"}
        return 200, {**found, **more}


def guid_of(number: int) -> UUID:
    """Return the GUID of a schema by its id."""
    return uuid5(NAMESPACE_URL, str(number))


@contextmanager
def schema_registry(login: tuple[str, str] | None = None) -> Iterator[FakeRegistry]:
    """Run a registry on a free port until the block ends."""
    registry = FakeRegistry(login=login)
    wanted = None if login is None else "Basic " + base64.b64encode(":".join(login).encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            registry.requests.append(self.path)
            status, body = registry.get(self.path)
            if wanted is not None and self.headers["Authorization"] != wanted:
                status, body = 401, {"error_code": 40101, "message": "Unauthorized"}
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    registry.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
