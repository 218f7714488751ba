"""A container engine for the tests: the one that answers, else one of their own, with a socket and a folder of its own.

Where no registry can be reached the images that ours are made from, and Kafka's and PostgreSQL's, are made of Debian's
packages and of Kafka's own jars, under the names that the Dockerfile and the Compose file have for them. That is done
in an engine of the tests' own alone: nobody's images are replaced.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.local.kafka_jars import kafka_jars
from app.processes.guarded import GuardedProcess
from tests.support.kafka_container import engine_answers

BASES = Path(__file__).with_name("bases")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
STANDING_IN = {"python": "python:3.11-slim", "kafka": "apache/kafka:4.3.0", "postgres": "postgres:17.6"}
"""The folder's bases, and which images they stand in for."""
SECONDS = 600


class NoEngine(Exception):
    """Why no container can be run here."""


@dataclass(frozen=True)
class Engine:
    """An engine that answers at DOCKER_HOST of this environment. `own`: it was started for the tests."""

    environment: dict[str, str]
    own: bool

    def run(self, *arguments: str, folder: Path | None = None, check: bool = True) -> str:
        """Run a command of the engine's client. Returns what it prints, both of its streams."""
        done = subprocess.run(
            ["docker", *arguments], env=self.environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"docker {' '.join(arguments)}:\n{done.stdout[-4000:]}")
        return done.stdout

    def build(self, name: str, folder: Path, dockerfile: Path | None = None) -> None:
        """Build an image; its commands have the machine's own network."""
        self.run("build", "-q", "--network", "host", "-t", name, "-f", str(dockerfile or folder / "Dockerfile"),
                 str(folder))  # fmt: skip


@contextmanager
def engine() -> Iterator[Engine]:
    """Find an engine, or start one. Raises NoEngine."""
    if shutil.which("docker") is None:
        raise NoEngine("no container engine: install Docker (on Debian: docker.io)")
    if engine_answers():
        yield Engine({**os.environ, "DOCKER_BUILDKIT": "0"}, own=False)
        return
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        raise NoEngine("no container engine answers, and only root can start one (on Debian: docker.io)")
    folder = Path(tempfile.mkdtemp(prefix="driftline-engine-"))
    socket = f"unix://{folder}/docker.sock"
    command = [
        "dockerd", "--host", socket, "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec"),
        "--pidfile", str(folder / "docker.pid"), "--mtu", "1400",
    ]  # fmt: skip
    environment = {**os.environ, "DOCKER_HOST": socket, "DOCKER_BUILDKIT": "0"}
    try:
        with (folder / "log").open("wb") as log:
            process = GuardedProcess(command, stdout=log, stderr=log, grace=60.0)
            try:
                _wait(environment, folder / "log", process)
                yield Engine(environment, own=True)
            finally:
                process.stop()
    finally:
        # what is left mounted cannot be removed; and of images there are hundreds of thousands of files
        subprocess.run(["umount", "-q", str(folder / "exec/netns/default")], check=False)
        subprocess.run(["rm", "-rf", str(folder)], check=False)


def bases(found: Engine) -> None:
    """See to it that the images are there that others are made from: pulled, else made. Raises NoEngine."""
    if not found.own:
        return  # they are pulled when they are used
    if "Downloaded" in found.run("pull", "-q", STANDING_IN["python"], check=False):
        return
    if shutil.which("debootstrap") is None:
        raise NoEngine("no registry answers, and to make images of Debian's packages debootstrap is missing")
    with tempfile.TemporaryDirectory(prefix="driftline-bases-") as made:
        folder = Path(made)
        shutil.copytree(BASES, folder, dirs_exist_ok=True)
        shutil.copy(CERTIFICATES, folder / "certificates.crt")
        shutil.copytree(kafka_jars(), folder / "libs")
        _import_debian(found, folder)
        found.build("driftline-test/debian", folder, folder / "debian.Dockerfile")
        for name, image in STANDING_IN.items():
            found.build(image, folder, folder / f"{name}.Dockerfile")


def _import_debian(found: Engine, folder: Path) -> None:
    """Make the smallest Debian, and import it as an image."""
    with tempfile.TemporaryDirectory(prefix="driftline-debian-") as root:
        _checked(["debootstrap", "--variant=minbase", platform.freedesktop_os_release()["VERSION_CODENAME"], root])
        archive = folder.with_suffix(".tar")
        try:
            _checked(["tar", "-C", root, "-cf", str(archive), "."])
            found.run("import", str(archive), "driftline-test/rootfs")
        finally:
            archive.unlink(missing_ok=True)


def _checked(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        raise NoEngine(f"{command[0]}: {(done.stdout + done.stderr).strip()[-500:]}")


def _wait(environment: dict[str, str], log: Path, process: GuardedProcess) -> None:
    deadline = time.monotonic() + 60
    while not engine_answers(environment):
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace").strip().splitlines() or ["it does not say why"]
            raise NoEngine(f"dockerd does not start: {said[-1]}")
        time.sleep(0.2)
