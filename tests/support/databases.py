"""Databases of the tests' own: a genuine PostgreSQL in a folder of its own, and a SQLite file."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy import text

from app.history import History
from app.history.tables import REVISION, metadata
from app.local.kafka_probe import free_ports
from app.processes.guarded import GuardedProcess
from tests.support.programs import lacking

PASSWORD = "a password, with: signs/in @ it"
UNPRIVILEGED = "postgres"
"""Who runs the server where the tests run as root: PostgreSQL refuses root."""


@dataclass(frozen=True)
class Server:
    """A running PostgreSQL server."""

    port: int

    def url(self, database: str) -> str:
        """Of one of its databases, as `history_url` has it."""
        return f"postgresql://driftline@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        """Run a statement as its superuser."""
        with psycopg.connect(self.url("postgres"), password=PASSWORD, autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextmanager
    def history(self, encoding: str = "UTF8") -> Iterator[History]:
        """A history with its tables, in a database of its own with that encoding."""
        name = f"history_{uuid.uuid4().hex[:10]}"
        locale = f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0 {locale}")
        history = History(self.url(name), PASSWORD)
        try:
            history.prepare()
            yield history
        finally:
            history.close()
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


def emptied(history: History) -> History:
    """The same, with nothing in its tables."""
    with history.writing() as connection:
        if history.path is None:  # dead rows of other tests would change the plans of queries
            connection.execute(text(f"TRUNCATE {', '.join(table.name for table in metadata.sorted_tables)}"))
        else:
            for table in metadata.sorted_tables:
                connection.execute(table.delete())
        connection.execute(text("UPDATE alembic_version SET version_num = :newest"), {"newest": REVISION})
    return history


def binaries() -> Path:
    """Where `initdb` and `postgres` are."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders else lacking("PostgreSQL is not here: apt-get install postgresql")


@contextmanager
def postgresql() -> Iterator[Server]:
    """A server that ends with these tests, however they end."""
    where = binaries()
    home, (port,) = Path(tempfile.mkdtemp(prefix="driftline-postgresql-")), free_ports(1)
    become: list[str] = []
    if os.geteuid() == 0:
        user = pwd.getpwnam(UNPRIVILEGED)
        os.chown(home, user.pw_uid, user.pw_gid)
        become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    data, secret = home / "data", home / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    try:
        initdb = [where / "initdb", "-D", data, "-U", "driftline", f"--pwfile={secret}", "-A", "scram-sha-256",
                  "--no-sync", "--no-locale", "-E", "UTF8"]  # fmt: skip
        subprocess.run([*become, *map(str, initdb)], check=True, capture_output=True, cwd=home)
        settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": home, "fsync": "off",
                    "shared_buffers": "16MB", "full_page_writes": "off", "max_connections": 20}  # fmt: skip
        options = [f"--{name}={value}" for name, value in settings.items()]
        with (home / "log").open("wb") as log:
            process = GuardedProcess(
                [*become, str(where / "postgres"), "-D", str(data), *options], stdout=log, stderr=log
            )
            try:
                _until_it_answers(Server(port))
                yield Server(port)
            finally:
                process.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _until_it_answers(server: Server) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            return server.execute("SELECT 1")
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
