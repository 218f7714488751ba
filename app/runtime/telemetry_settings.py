"""The settings of what the processes tell of themselves: metrics, logs, traces."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class TelemetrySettings(BaseSettings):
    """Where a worker's metrics and probes are, how logs look, and where traces go."""

    metrics_host: str = Field("127.0.0.1", min_length=1, description="Address a worker's metrics and probes listen on.")
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] | None = Field(
        None, description="Their port; 0: a free one, which the log names. Unset: there are none."
    )
    log_format: Literal["text", "json"] = Field("text", description="Lines for people, or JSON objects.")
    otlp_endpoint: str | None = Field(
        None,
        pattern=r"^https?://\S+$",
        description="OpenTelemetry collector that gets traces, by HTTP. Unset: no traces.",
    )
