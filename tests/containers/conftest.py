"""The engine, and the image of every process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.containers.engine import Engine, NoEngine, bases, engine
from tests.support.paths import ROOT

IMAGE = "driftline:0.1.0"


@pytest.fixture(scope="session")
def containers() -> Iterator[Engine]:
    """An engine with the images that others are made from."""
    try:
        with engine() as found:
            bases(found)
            yield found
    except NoEngine as why:
        pytest.skip(str(why))


@pytest.fixture(scope="session")
def image(containers: Engine) -> str:
    """The image of the Dockerfile, built."""
    containers.build(IMAGE, ROOT)
    return IMAGE
