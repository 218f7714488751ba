"""Comparison of the library versions at training with the installed ones."""

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
"""Package names by the library's name in `versions` of training_metadata.json; one of the packages is installed."""
OF_SOME = ("lightgbm", "xgboost")
"""Libraries that are recorded only where the process that saves the model has imported them."""


class Versions(NamedTuple):
    """Versions of one library: at training (null: not recorded), and here (null: not installed)."""

    trained: str | None
    here: str | None

    @property
    def differ(self) -> bool:
        """Return whether the version at training is known and differs from the one here. A missing library differs."""
        return self.trained is not None and self.trained != self.here


def versions_of_training() -> dict[str, str]:
    """Return the versions that are recorded with a model."""
    used = [name for name in LIBRARIES if name not in OF_SOME or name in sys.modules]
    found = {name: here for name in used if (here := _installed(LIBRARIES[name])) is not None}
    return found | {"python": platform.python_version()}


def compared(recorded: object) -> dict[str, Versions]:
    """Return both versions of each library.

    `recorded`: the value of `versions` in training_metadata.json, of any type.
    """
    given: Mapping[Any, Any] = recorded if isinstance(recorded, Mapping) else {}
    trained = {name: value for name, value in given.items() if isinstance(value, str)}
    found = {name: Versions(trained.get(name), _installed(package)) for name, package in LIBRARIES.items()}
    found = {name: both for name, both in found.items() if name not in OF_SOME or both.trained or both.here}
    python = Versions(_minor(trained.get("python")), _minor(platform.python_version()))
    return {**found, "python": python}


def skew(libraries: Mapping[str, Versions], *, but: str = "") -> tuple[str, ...]:
    """Return a sentence on each library whose versions differ, except the library `but`."""
    return tuple(
        f"the model was saved with {name.replace('_', '-')} {both.trained}, here is {both.here or 'none'}"
        for name, both in libraries.items()
        if both.differ and name != but
    )


def _minor(full: str | None) -> str | None:
    """Return the minor version: 3.11 of 3.11.4. Pickles are compatible within a minor version."""
    return None if full is None else ".".join(full.split(".")[:2])


def _installed(packages: tuple[str, ...]) -> str | None:
    """Return the version of the first package that is installed; None where none is."""
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            return version(package)
    return None
