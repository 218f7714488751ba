"""Options of every Kafka client: address, TLS and credentials."""

from __future__ import annotations

import ssl
from typing import Any

from app.settings.kafka import KafkaSettings
from app.settings.secrets import secret_of
from app.settings.settings import Settings, SettingsError

NOWHERE = "localhost:9092"


def client_options(settings: Settings) -> dict[str, Any]:
    """Return the options of every aiokafka client. Raises SettingsError."""
    protocol, context = settings.kafka_security_protocol, tls_of(settings)
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers or NOWHERE,
        "security_protocol": protocol,
        "ssl_context": context,
    }
    username, password = settings.kafka_sasl_username, secret_of(settings, "kafka_sasl_password")
    if protocol.startswith("SASL"):
        if username is None or password is None:
            lacking = "kafka_sasl_username" if username is None else "kafka_sasl_password"
            raise SettingsError(f"{lacking}: missing; {protocol} needs a user and a password")
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": username,
            "sasl_plain_password": password,
        }
    elif username is not None or password is not None:
        raise SettingsError(f"kafka_security_protocol: {protocol} sends no user; set SASL_SSL, or leave the user out")
    return options


def consumer_options(settings: Settings) -> dict[str, Any]:
    """Return the options of every aiokafka consumer. Raises SettingsError."""
    return {**client_options(settings), "isolation_level": settings.kafka_isolation_level}


def tls_of(settings: KafkaSettings) -> ssl.SSLContext | None:
    """Return the TLS context; None without TLS. Raises SettingsError."""
    files = (settings.kafka_ca_file, settings.kafka_cert_file, settings.kafka_key_file)
    if not settings.kafka_security_protocol.endswith("SSL"):
        if any(files):
            raise SettingsError(
                f"kafka_security_protocol: {settings.kafka_security_protocol} uses no certificates; "
                "set SSL or SASL_SSL, or leave kafka_ca_file, kafka_cert_file and kafka_key_file out"
            )
        return None
    ca, cert, key = files
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"kafka_ca_file: cannot use {ca}: {_why(error)}") from None
    if cert is None:
        if key is not None:
            raise SettingsError("kafka_cert_file: missing; kafka_key_file is the key of a certificate")
        return context
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"kafka_cert_file: cannot use {cert} with its key: {_why(error)}") from None
    return context


def _why(error: OSError) -> str:
    return "it is no PEM that fits" if isinstance(error, ssl.SSLError) else str(error.strerror)
