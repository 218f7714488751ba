"""Clean environments with Driftline's wheels, as `pip install` makes them, without a network."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path, PurePath

from packaging.requirements import Requirement

PACKAGES = Path(sysconfig.get_path("purelib"))
"""Folder of this environment's packages. The clone is not in it; a file `.pth` there names the clone's folder."""
UV = Path(sys.executable).with_name("uv")


def wheel(project: Path, folder: Path) -> Path:
    """Build a project's wheel. Return its path."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def environment(folder: Path) -> Path:
    """Make an environment with nothing in it. Return the path of its Python."""
    venv.create(folder, symlinks=True)
    return folder / "bin" / "python"


def install(python: Path, built: Path) -> None:
    """Install a wheel without what it needs."""
    command = [str(UV), "pip", "install", "-q", "--offline", "--no-deps", "--python", str(python), str(built)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def packages_of(python: Path) -> Path:
    """Return the folder of an environment's packages."""
    return python.parents[1] / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def give_all(python: Path) -> None:
    """Give an environment every package of this one: what the server needs, and not the clone."""
    (packages_of(python) / "others.pth").write_text(f"{PACKAGES}\n")


def give(python: Path, *names: str) -> set[str]:
    """Give an environment packages of this one and what they need. Return the names of these distributions."""
    found: dict[str, Distribution] = {}
    pending = list(names)
    while pending:
        one = pending.pop()
        if one in found:
            continue
        found[one] = distribution(one)
        needs = [Requirement(need) for need in found[one].requires or []]
        pending += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    for given in found.values():
        for path in given.files or []:
            if path.parts[0] not in ("..", "__pycache__"):
                _link(packages_of(python), path)
    return set(found)


def _link(packages: Path, path: PurePath) -> None:
    """Link a file, or the package that it is in. Several distributions may share a folder without `__init__.py`."""
    for part in (*reversed(path.parents[:-1]), path):
        if (packages / part).is_symlink():
            return
        if (PACKAGES / part).is_file() or (PACKAGES / part / "__init__.py").exists():
            (packages / part).symlink_to(PACKAGES / part)
            return
        (packages / part).mkdir(exist_ok=True)
