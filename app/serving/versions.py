"""The libraries that a model was trained with, against those that are here."""

from __future__ import annotations

import contextlib
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "numpy": ("numpy",), "pandas": ("pandas",), "scikit_learn": ("scikit-learn",), "lightgbm": ("lightgbm",),
    "xgboost": ("xgboost", "xgboost-cpu", "xgboost-cu12", "xgboost-cu13"),
}  # fmt: skip
"""The name in `versions` of training_metadata.json -> of the packages, of which one is installed."""
OF_SOME = ("lightgbm", "xgboost")
"""Recorded only where the process that saves the model has them in use."""


class Versions(NamedTuple):
    """Of one library: when the model was saved (null: not recorded), and here (null: not installed)."""

    trained: str | None
    here: str | None

    @property
    def differ(self) -> bool:
        """Whether both are known and are not the same; a library that is lacking differs."""
        return self.trained is not None and self.trained != self.here


def versions_of_training() -> dict[str, str]:
    """Return what is recorded with a model."""
    used = [name for name in LIBRARIES if name not in OF_SOME or name in sys.modules]
    found = {name: here for name in used if (here := _installed(LIBRARIES[name])) is not None}
    return found | {"python": platform.python_version()}


def compared(recorded: object) -> dict[str, Versions]:
    """Return each library's two versions. `recorded`: `versions` of training_metadata.json, whatever it is."""
    given: Mapping[Any, Any] = recorded if isinstance(recorded, Mapping) else {}
    trained = {name: value for name, value in given.items() if isinstance(value, str)}
    found = {name: Versions(trained.get(name), _installed(package)) for name, package in LIBRARIES.items()}
    found = {name: both for name, both in found.items() if name not in OF_SOME or both.trained or both.here}
    python = Versions(_minor(trained.get("python")), _minor(platform.python_version()))
    return {**found, "python": python}


def skew(libraries: Mapping[str, Versions], *, but: str = "") -> tuple[str, ...]:
    """Return a sentence on each library that differs, except one."""
    return tuple(
        f"the model was saved with {name.replace('_', '-')} {both.trained}, here is {both.here or 'none'}"
        for name, both in libraries.items()
        if both.differ and name != but
    )


def _minor(full: str | None) -> str | None:
    """Return 3.11 of 3.11.4: pickles of one minor version are the same."""
    return None if full is None else ".".join(full.split(".")[:2])


def _installed(packages: tuple[str, ...]) -> str | None:
    """Return the version of the first package that is here; None where none is."""
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            return version(package)
    return None
