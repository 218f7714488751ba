"""Result of `driftline.check`: a check as notebooks show it, and as a page, a figure and a dictionary."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from app.core.evaluation.accounting import accounting_of
from app.offline.check import Check, Verdict
from app.offline.firing import Finding, reports_of
from app.reporting.page import Page, html_of, verdict_of
from app.settings.extras import needing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FRAME = '<iframe sandbox srcdoc="{page}" style="width: 100%; height: 640px; border: 0" title="Driftline"></iframe>'
"""Frame of the page in a notebook: its styles touch nothing else there, and no script in it is run."""


@dataclass(frozen=True, slots=True, repr=False)
class CheckedTables:
    """Decision of the stream on two tables."""

    check: Check

    @property
    def verdict(self) -> Verdict:
        """Return the decision in words: drift, findings, no drift or no decision."""
        return self.check.verdict

    @property
    def drifted(self) -> bool | None:
        """Return whether there is drift or degraded performance; None where nothing could be decided."""
        return None if self.verdict == "no decision" else self.verdict == "drift"

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return the findings that the enabled rules would fire for."""
        return self.check.findings

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return the reasons why the tables, or most of them, were not judged."""
        return self.check.warnings

    @property
    def notes(self) -> tuple[str, ...]:
        """Return the notes on how the reference was read."""
        return self.check.notes

    def to_dict(self) -> dict[str, Any]:
        """Return all of the check, as `driftline check --json` prints it."""
        found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self.check.told()))
        return found

    def report(self, path: str | Path) -> Path:
        """Write the check as a page that needs nothing else. Return its path. Raises OSError."""
        file = Path(path)
        file.write_text(html_of(self._page()), "utf-8")
        return file

    def figure(self) -> Figure:
        """Return the distributions of the columns that have drifted, or of those with the largest differences."""
        with needing("email", "figure()"):
            from app.offline.figure import figure_of

        assert self.check.decision is not None
        return figure_of(self.check.decision.drift)

    def _page(self) -> Page:
        decision = self.check.decision
        assert decision is not None  # of tables: only a file may be absent
        drift, performance = reports_of(decision, self.check.checked_at)
        lines = [*self.warnings, *(f"{one.level}: {one.title}" for one in self.findings)]
        if performance is not None and decision.performance is not None:
            lines += accounting_of(decision.performance)
        subtitle = f"{self.check.current} against {self.check.reference}, {drift.n:,} rows: {self.verdict}"
        return Page("Check", "", drift, performance, (), (), self.check.checked_at, lines, subtitle)

    def _repr_html_(self) -> str:
        return FRAME.format(page=escape(html_of(self._page()), quote=True))

    def __repr__(self) -> str:
        return "\n".join([f"CheckResult: {self.verdict}", *verdict_of(self._page())])
