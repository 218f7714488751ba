"""Settings of the connection to Kafka: TLS and login."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings


class KafkaSettings(BaseSettings):
    """Connection settings for the Kafka in `bootstrap_servers`, checked together when a client is made."""

    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How Kafka's listener is protected."
    )
    kafka_sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = Field(
        "SCRAM-SHA-512", description="How we log in, with SASL."
    )
    kafka_sasl_username: str | None = Field(None, min_length=1, description="The user that we log in as.")
    kafka_sasl_password: SecretStr | None = Field(None, description="Its password.")
    kafka_sasl_password_file: Path | None = Field(None, description="A file with it.")
    kafka_ca_file: Path | None = Field(
        None, description="PEM of who signs the brokers' certificates. Unset: this machine's."
    )
    kafka_cert_file: Path | None = Field(None, description="PEM of our own certificate, where brokers ask for one.")
    kafka_key_file: Path | None = Field(None, description="PEM of its key. Unset: it is in kafka_cert_file.")

    kafka_isolation_level: Literal["read_committed", "read_uncommitted"] = Field(
        "read_committed",
        description="Whether records of transactions count when these are committed, or at once and aborted ones too.",
    )

    @field_validator("kafka_sasl_password_file", "kafka_ca_file", "kafka_cert_file", "kafka_key_file")
    @classmethod
    def _home_of_kafka_files(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser()
