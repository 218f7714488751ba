"""Start of Driftline's processes: the command `driftline`, and `python -P -m driftline_server`.

`agents`, `api`, `app`, `driftline` and `topics` are imported from the folder beside this package, whatever PYTHONPATH
names. A served model may need a folder in PYTHONPATH that has packages of the same names.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

PACKAGES = frozenset({"agents", "api", "app", "driftline", "topics"})
FOLDER = str(Path(__file__).resolve().parents[1])


class OwnPackages(MetaPathFinder):
    """Finder of Driftline's own packages, asked before sys.path."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of one of PACKAGES, None for any other module."""
        return PathFinder.find_spec(fullname, [FOLDER]) if fullname in PACKAGES else None


sys.meta_path.insert(0, OwnPackages())


def main() -> None:
    """Run the command line."""
    from app.cli import main as command_line

    command_line()
