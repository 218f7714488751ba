"""Helpers of the tests, a module for each concept; no tests.

Their assertions show their values as those in tests do.
"""

from pathlib import Path

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{path.stem}" for path in Path(__file__).parent.glob("[!_]*.py")))
