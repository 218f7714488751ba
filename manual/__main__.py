"""Write the reference pages: `python -m manual`, or `make reference`."""

from __future__ import annotations

from pathlib import Path

from manual import commands, decisions, events, metrics, monitoring, settings

FOLDER = Path(__file__).parents[1] / "docs"
PAGES = {
    "adr/README.md": decisions.page,
    "reference/commands.md": commands.page,
    "reference/events.md": events.page,
    "reference/metrics.md": metrics.page,
    "reference/monitoring.md": monitoring.page,
    "reference/settings.md": settings.page,
}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (FOLDER / name).parent.mkdir(exist_ok=True)
        (FOLDER / name).write_text(page())


if __name__ == "__main__":
    main()
