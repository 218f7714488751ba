"""Helpers of the tests, a module for each concept; no tests.

Their assertions show their values as those in tests do. Processes that load a model from here do so without pytest.
"""

import sys
from pathlib import Path

if "pytest" in sys.modules:
    import pytest

    pytest.register_assert_rewrite(*(f"{__name__}.{path.stem}" for path in Path(__file__).parent.glob("[!_]*.py")))
