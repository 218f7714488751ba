"""Write the reference pages: `python -m manual`, or `make reference`."""

from __future__ import annotations

from pathlib import Path

from manual import commands, events, metrics, settings

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
PAGES = {
    "commands.md": commands.page, "events.md": events.page, "metrics.md": metrics.page, "settings.md": settings.page,
}  # fmt: skip


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())


if __name__ == "__main__":
    main()
