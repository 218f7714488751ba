"""Requests and responses of inferences as records: CloudEvents in Kafka's binary mode, with unchanged payload."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

REQUEST, RESPONSE = "org.kubeflow.serving.inference.request", "org.kubeflow.serving.inference.response"
"""The types of KServe's inference logger."""

Headers = Sequence[tuple[str, bytes | None]]


class Inference(msgspec.Struct, frozen=True, kw_only=True, rename={
    "service": "ce_inferenceservicename", "version": "ce_modelversion", "status": "ce_statuscode",
    **{name: f"ce_{name}" for name in (
        "specversion", "id", "type", "source", "time", "namespace", "component", "endpoint", "model",
    )},
}):  # fmt: skip
    """A half of an inference: the CloudEvent's attributes, as headers of its record.

    `model` and `version` are those of the logger's URL. `status` is the HTTP status of a response, where it is sent.
    """

    specversion: str = "1.0"
    id: Annotated[str, Meta(min_length=1, max_length=180)]
    type: str
    source: str | None = None
    time: Annotated[datetime, Meta(tz=True)] | None = None
    service: str | None = None
    namespace: str | None = None
    component: str | None = None
    endpoint: str | None = None
    model: str | None = None
    version: str | None = None
    status: str | None = None

    @property
    def is_response(self) -> bool:
        """Return whether this half is the response."""
        return self.type == RESPONSE

    @property
    def side(self) -> str:
        """Return the name of this half."""
        return "response" if self.is_response else "request"

    @property
    def other(self) -> str:
        """Return the name of the other half."""
        return "request" if self.is_response else "response"

    @property
    def of(self) -> tuple[str | None, ...]:
        """Return the values that both halves of an inference share.

        Clients may choose ids; a service's ids are its own.
        """
        return self.id, self.namespace, self.service, self.component, self.endpoint, self.model, self.version

    @property
    def prediction_id(self) -> str:
        """Return the id of the inference's prediction, in the spelling that feedback has."""
        return unicodedata.normalize("NFC", self.id)

    def headers(self) -> list[tuple[str, bytes]]:
        """Return the attributes as headers of a record."""
        given = msgspec.to_builtins(self, builtin_types=())
        return [(name, value.encode()) for name, value in given.items() if value is not None]


def inference_of(headers: Headers) -> Inference:
    """Return the half that a record's headers describe.

    Raises msgspec.ValidationError where the headers describe none, UnicodeDecodeError.
    """
    return msgspec.convert(
        {name: bytes(value).decode() for name, value in headers if value is not None and name.startswith("ce_")},
        Inference, strict=False,
    )  # fmt: skip


HEADERS = tuple(field.encode_name for field in msgspec.structs.fields(Inference))
"""Names of the headers, in their order."""
