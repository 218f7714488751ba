"""A genuine Kafka that asks for TLS, for a user by SCRAM, and for leave (ACLs) in everything."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest
from cryptography.hazmat.primitives import serialization

from app.kafka.client_options import client_options, tls_of
from app.local.kafka_config import LOG4J, server_properties
from app.local.kafka_jar_process import JVM_FLAGS
from app.local.kafka_jars import kafka_jars
from app.local.kafka_probe import free_ports, speaks_kafka
from app.processes.guarded import GuardedProcess
from app.settings.settings import load_settings
from tests.support.programs import find_java_or_skip

ADMIN, OURS, PRODUCER = "admin", "driftline", "checkout"
USERS = {ADMIN: "admin-secret", OURS: "ours-secret", PRODUCER: "producer-secret"}
START_SECONDS = 60.0
TOPIC, GROUP, PREFIXED, ALLOW = 2, 3, 4, 3
OPERATIONS = {"read": 3, "write": 4, "create": 5, "describe": 8, "describe-configs": 10}
"""As Kafka's protocol numbers them."""


@dataclass(frozen=True)
class SecureKafka:
    """Where it listens, and whose certificate it shows."""

    bootstrap_servers: str
    ca_file: Path

    def settings_for(self, user: str) -> dict[str, str]:
        """The settings with which a user of it comes in."""
        return {
            "bootstrap_servers": self.bootstrap_servers, "kafka_security_protocol": "SASL_SSL",
            "kafka_sasl_username": user, "kafka_sasl_password": USERS[user], "kafka_ca_file": str(self.ca_file),
        }  # fmt: skip

    async def allow(self, user: str, *, topic: str = "", group: str = "", to: Sequence[str]) -> None:
        """Allow a user some operations on the topics, or groups, whose names begin so."""
        kind, name = (TOPIC, topic) if topic else (GROUP, group)
        admin = AIOKafkaAdminClient(**client_options(load_settings(**self.settings_for(ADMIN))))
        await admin.start()
        try:
            for operation in to:
                asked = CreateAclsRequest(kind, name, PREFIXED, f"User:{user}", "*", OPERATIONS[operation], ALLOW)
                answer = await admin._send_request(asked, admin._client.cluster.controller.nodeId)
                assert [code for code, _ in answer.creation_responses] == [0]
        finally:
            await admin.close()


@contextlib.contextmanager
def secure_kafka(home: Path) -> Iterator[SecureKafka]:
    """Run one until the context is left."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    ca_file, keystore = home / "ca.pem", home / "broker.pem"
    authority.cert_pem.write_to_path(ca_file)
    keystore.write_bytes(_pkcs8(certificate.private_key_pem) + certificate.cert_chain_pems[0].bytes())
    port, controller = free_ports(2)
    (home / "log4j2.properties").write_text(LOG4J)
    properties = home / "server.properties"
    usual, more = server_properties(home / "data", port, controller), _secured(port, controller, ca_file, keystore)
    properties.write_text(usual + more)
    tool = (
        find_java_or_skip(), *JVM_FLAGS, f"-Dlog4j2.configurationFile={home / 'log4j2.properties'}",
        "-cp", f"{kafka_jars()}/*",
    )  # fmt: skip
    users = [part for name, word in USERS.items() for part in ("-S", f"SCRAM-SHA-512=[name={name},password={word}]")]
    formatting = [*tool, "kafka.tools.StorageTool", "format", "-t", "RHJpZnRsaW5lTG9jYWxLYQ", "-c", str(properties)]
    subprocess.run([*formatting, *users], check=True, capture_output=True, timeout=60)
    with (home / "broker.log").open("wb") as log:
        process = GuardedProcess([*tool, "kafka.Kafka", str(properties)], stdout=log, stderr=log)
    try:
        kafka = SecureKafka(f"127.0.0.1:{port}", ca_file)
        tls = tls_of(load_settings(kafka_security_protocol="SASL_SSL", kafka_ca_file=ca_file))
        deadline = time.monotonic() + START_SECONDS
        while not speaks_kafka(kafka.bootstrap_servers, 1.0, tls):
            assert process.poll() is None, (home / "broker.log").read_text()
            assert time.monotonic() < deadline, (home / "broker.log").read_text()
            time.sleep(0.05)
        yield kafka
    finally:
        process.stop()


def _pkcs8(key: trustme.Blob) -> bytes:
    """A private key in the only form that Kafka reads."""
    loaded = serialization.load_pem_private_key(key.bytes(), None)
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return loaded.private_bytes(serialization.Encoding.PEM, form, plain)


def _secured(port: int, controller: int, ca_file: Path, keystore: Path) -> str:
    """What comes behind the usual properties: of two lines for one of them the last counts."""
    settings = {
        "listeners": f"SASL_SSL://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"SASL_SSL://127.0.0.1:{port}",
        "listener.security.protocol.map": "SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "SASL_SSL",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": _jaas(ADMIN),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": keystore,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": ca_file,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{ADMIN};User:ANONYMOUS",  # who speaks to the controller's own port
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _jaas(user: str) -> str:
    return (
        f'org.apache.kafka.common.security.scram.ScramLoginModule required username="{user}" password="{USERS[user]}";'
    )
