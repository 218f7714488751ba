"""The offline check of two files: what was found, or why nothing can be said, and the file that keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
import pandas as pd

from app.core.findings import DriftDecision
from app.core.profile import Kind
from app.offline import Decision, decide
from app.registration import Columns, FileOptions, MonitoringFile, read_table
from app.tables.files import FOUND, form_words

FOLDER = Path("artifacts", "drift")

Verdict = Literal["drift", "no drift", "no decision"]


@dataclass(frozen=True, slots=True)
class Check:
    """What came of a check. What cannot be decided, or was not judged whole, is never "no drift"."""

    reference: str
    current: str
    checked_at: datetime
    decision: Decision | None
    warnings: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()
    """How the files are written, where that is not usual."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what there is to say of the files, and of how the reference was read."""
        read = None if self.decision is None else self.decision.reference
        return (*self.forms, *(() if read is None else read.notes))

    @property
    def verdict(self) -> Verdict:
        """In words."""
        if self.decision is None:
            return "no decision"
        if self.decision.drifted:
            return "drift"
        return "no decision" if self.warnings else "no drift"

    def told(self) -> dict[str, object]:
        """All of it, as JSON has it; `drifted` is null without a decision."""
        found = self.decision
        return {
            "checked_at": self.checked_at, "reference": self.reference, "current": self.current,
            "verdict": self.verdict, "drifted": None if self.verdict == "no decision" else self.verdict == "drift",
            "warnings": self.warnings, "notes": self.notes, "drift": found and found.drift,
            "performance": found and found.performance,
        }  # fmt: skip


def check_files(
    reference: Path,
    current: Path,
    file: MonitoringFile | None = None,
    *,
    kinds: Mapping[str, Kind] | None = None,
    options: FileOptions = FOUND,
    now: datetime,
) -> Check:
    """Judge one file against another. `kinds`: the features to be judged, and no others, as the metadata has them.

    A file that is not there is a warning, and no decision; so are too few rows, and a feature without any value, unless
    others have drifted. Raises TableError or MonitoringError naming file, column or
    key; OSError where a file is there and cannot be read.
    """
    absent = [path for path in (reference, current) if not path.is_file()]
    if absent:
        warnings = tuple(f"{path}: no such file, so nothing is decided" for path in absent)
        return Check(str(reference), str(current), now, None, warnings)
    watched, held = MonitoringFile() if file is None else file, read_table(current, options)
    if kinds is not None:
        watched = msgspec.structs.replace(watched, columns=_only(kinds, watched.columns, held))
    decision = decide(read_table(reference, options), held, watched)
    notes = tuple(filter(None, (form_words(reference, options), form_words(current, options))))
    return Check(
        str(reference), str(current), now, decision, tuple(_not_judged(decision.drift, watched, current)), notes
    )


def _not_judged(drift: DriftDecision, watched: MonitoringFile, current: Path) -> Iterator[str]:
    if not drift.sufficient:
        fewest = watched.monitoring.drift.min_samples
        yield f"{drift.n:,} rows are too few to judge (drift.min_samples {fewest:,})"
        return
    empty = [feature.name for feature in drift.features if feature.n == 0]
    if empty:
        yield f"{current} has no value of {', '.join(empty)}, so nothing is decided about it"


def _only(kinds: Mapping[str, Kind], columns: Columns, current: pd.DataFrame) -> Columns:
    """The same columns, with these features and no others; what else the table has is let pass."""
    return msgspec.structs.replace(
        columns,
        features=tuple(kinds),
        numeric=tuple(name for name, kind in kinds.items() if kind == "numeric"),
        categorical=tuple(name for name, kind in kinds.items() if kind == "categorical"),
        ignore=(*columns.ignore, *(name for name in current.columns if name not in kinds)),
    )


def write_check(check: Check, output: Path) -> Path:
    """Write a check under a folder, as artifacts/drift/drift_<its time in UTC>.json; answers where. Raises OSError."""
    folder = output / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"drift_{check.checked_at:%Y%m%dT%H%M%S.%f}Z.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(check.told()), indent=2))
    return path
