"""How clients reach Kafka: what is set in part is named, and no client goes another way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from app.kafka.client_options import client_options, tls_of
from app.local.find_kafka import BrokerError, find_kafka, running_kafka
from app.settings.settings import SettingsError, environment, load_settings
from tests.support.paths import ROOT

CLIENTS = ("AIOKafkaConsumer", "AIOKafkaProducer", "AIOKafkaAdminClient", "Consumer")
USER: dict[str, Any] = {"kafka_sasl_username": "ada", "kafka_sasl_password": "word"}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    authority = trustme.CA()
    certificate = authority.issue_cert("ada@example.org")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    return {f"kafka_{name}_file": tmp_path / f"{name}.pem" for name in ("ca", "cert", "key")}


def test_by_default_there_is_neither_tls_nor_a_user() -> None:
    assert client_options(load_settings(bootstrap_servers="kafka:9092")) == {
        "bootstrap_servers": "kafka:9092", "security_protocol": "PLAINTEXT", "ssl_context": None,
    }  # fmt: skip


def test_a_user_a_password_from_a_file_and_a_certificate_of_our_own(files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "word").write_text("word\n")
    options = client_options(
        load_settings(
            kafka_security_protocol="SASL_SSL", kafka_sasl_username="ada", kafka_sasl_password_file=tmp_path / "word",
            **files,
        )
    )  # fmt: skip
    context = options.pop("ssl_context")
    assert context.check_hostname
    assert options == {
        "bootstrap_servers": "localhost:9092", "security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "ada", "sasl_plain_password": "word",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kafka_security_protocol": "SASL_SSL"}, "kafka_sasl_username: missing"),
        ({"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_sasl_username": "a"}, "kafka_sasl_password: missing"),
        (USER, "kafka_security_protocol: PLAINTEXT sends no user"),
        ({**USER, "kafka_security_protocol": "SSL"}, "kafka_security_protocol: SSL sends no user"),
        ({"kafka_ca_file": "ca.pem"}, "kafka_security_protocol: PLAINTEXT uses no certificates"),
        ({"kafka_security_protocol": "SSL", "kafka_ca_file": "/nowhere"}, "kafka_ca_file: cannot use /nowhere: No"),
        ({"kafka_security_protocol": "SSL", "kafka_key_file": "/nowhere"}, "kafka_cert_file: missing"),
        ({"kafka_security_protocol": "SSL", "kafka_cert_file": "/nowhere"}, "kafka_cert_file: cannot use /nowhere"),
        ({"kafka_security_protocol": "SSL", "kafka_ca_file": __file__}, "kafka_ca_file: cannot use .*: it is no PEM"),
        ({**USER, "kafka_security_protocol": "SASL_SSL", "kafka_sasl_password_file": "x"}, "kafka_sasl_password: "),
    ],
)  # fmt: skip
def test_what_is_set_in_part_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=f"^{words}"):
        client_options(load_settings(**given))


def test_none_is_started_where_tls_or_a_user_is_asked_for() -> None:
    settings = load_settings(kafka_security_protocol="SASL_SSL", **USER)
    for find in (find_kafka, running_kafka):
        with pytest.raises(BrokerError, match=r"^kafka_security_protocol: SASL_SSL is for a Kafka that is named"):
            find(settings)


def test_the_password_is_in_no_text_but_a_childs_environment(files: dict[str, Path]) -> None:
    settings = load_settings(kafka_security_protocol="SASL_SSL", **USER | {"kafka_sasl_password": "canary"}, **files)
    assert "canary" not in repr(settings) + str(settings.model_dump())
    assert environment(settings)["DRIFTLINE_KAFKA_SASL_PASSWORD"] == "canary"
    assert tls_of(settings) is not None


def clients() -> Iterator[tuple[str, ast.Call]]:
    """Every place where a client of Kafka is made, outside of tests and benchmarks."""
    for package in ("app", "agents", "api"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CLIENTS:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


@pytest.mark.slow
def test_every_client_is_made_with_the_options_and_every_producer_is_idempotent() -> None:
    found = list(clients())
    assert len(found) > 6
    for place, call in found:
        names = {keyword.arg for keyword in call.keywords}
        assert None in names, f"{place}: make it with **client_options(settings) (app/kafka/client_options.py)"
        assert "bootstrap_servers" not in names, place
        if isinstance(call.func, ast.Name) and call.func.id == "AIOKafkaProducer":
            given = {k.arg: k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)}
            assert (given.get("enable_idempotence"), given.get("acks")) == (True, "all"), place
