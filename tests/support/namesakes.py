"""A user's project whose packages have the names of Driftline's own."""

from __future__ import annotations

from pathlib import Path


def write_namesakes(folder: Path) -> Path:
    """Write packages `app`, `api`, `agents` and `topics` of which each ends the process that imports it."""
    for name in ("app", "api", "agents", "topics"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(f"raise SystemExit('imported {name} of the folder')\n")
    return folder
