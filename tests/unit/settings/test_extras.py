"""The extras of the server's distribution, and the modules that the code takes them to install."""

from __future__ import annotations

import tomllib
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from app.settings.extras import EXTRAS, MissingExtra, needing
from tests.support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(one).name) for one in requirements}


def test_every_extra_is_what_its_modules_come_from() -> None:
    extras = dict(PROJECT["optional-dependencies"])
    del extras["broker"]
    (every,) = [Requirement(one) for one in extras.pop("all")]
    assert every.name == PROJECT["name"]
    assert every.extras == extras.keys() == EXTRAS.keys()
    homes = packages_distributions()
    for extra, modules in EXTRAS.items():
        found = {canonicalize_name(home) for module in modules for home in homes[module]}
        assert names(extras[extra]) <= found, extra
        assert not names(extras[extra]) & names(PROJECT["dependencies"])


@pytest.mark.parametrize("missing", ["apprise.plugins.not_there", "not_there"])
def test_another_missing_module_is_not_taken_for_an_extra(missing: str) -> None:
    of_extra = missing.startswith("apprise")
    with pytest.raises(MissingExtra if of_extra else ModuleNotFoundError, match=missing), needing("apprise", "urls"):
        __import__(missing)
