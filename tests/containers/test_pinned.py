"""Images by digest: what `deploy/pin-images` prints is what the registry has, and stays when a tag is moved."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from app.local.kafka_probe import free_ports
from app.processes.guarded import GuardedProcess
from tests.containers.engine import STANDING_IN, Engine
from tests.support.paths import ROOT

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1200)]
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
SETTINGS = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Run a registry of images on this machine."""
    if shutil.which("docker-registry") is None:
        pytest.skip("no registry of images to run (on Debian: docker-registry)")
    (port,) = free_ports(1)
    file = folder / "registry.yml"
    file.write_text(SETTINGS.format(folder=folder / "images", port=port))
    with (folder / "registry.log").open("wb") as log:
        process = GuardedProcess(["docker-registry", "serve", str(file)], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while not _is_up(port):
                assert time.monotonic() < deadline, (folder / "registry.log").read_text()[-2000:]
                time.sleep(0.1)
            yield f"127.0.0.1:{port}"
        finally:
            process.stop()


def _is_up(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v2/", timeout=5).is_success
    except httpx.TransportError:
        return False


def pinned(engine: Engine, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "deploy/pin-images"), *arguments], env=engine.environment, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip


def test_an_image_that_is_pinned_stays_when_its_tag_is_moved(containers: Engine, tmp_path: Path, direct: None) -> None:
    kafka, postgres = STANDING_IN["kafka"], STANDING_IN["postgres"]
    with registry(tmp_path) as host:
        for image in (kafka, postgres):
            containers.run("tag", image, f"{host}/{image}")
            containers.run("push", "-q", f"{host}/{image}")
        printed = pinned(containers, "--registry", host)
        assert printed.returncode == 0, printed.stderr
        services = yaml.safe_load(printed.stdout)["services"]
        assert set(services) == {"kafka", "postgres"}
        name, tag = kafka.split(":")
        found = httpx.head(f"http://{host}/v2/{name}/manifests/{tag}", headers={"accept": MANIFEST})
        digest = found.headers["docker-content-digest"]
        assert services["kafka"]["image"] == f"{host}/{kafka}@{digest}"
        kustomized = yaml.safe_load(pinned(containers, "--registry", host, "--kubernetes").stdout)["images"]
        assert {"name": name, "newName": f"{host}/{name}", "digest": digest} in kustomized

        before = containers.run("inspect", "--format", "{{.Id}}", kafka)
        containers.run("tag", postgres, f"{host}/{kafka}")
        containers.run("push", "-q", f"{host}/{kafka}")  # somebody puts another image under the tag
        containers.run("pull", "-q", services["kafka"]["image"].replace(f":{tag}@", "@"))
        assert containers.run("inspect", "--format", "{{.Id}}", f"{host}/{name}@{digest}") == before
        missing = pinned(containers, "--registry", f"{host}/nobody")
        assert missing.returncode == 1
        assert "nobody/apache/kafka:4.3.0 cannot be pulled" in missing.stderr
