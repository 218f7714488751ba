"""Offline check of two files: its result, or why there is no decision, and the file with the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
import pandas as pd

from app.core.evaluation.accounting import mostly_left_out
from app.core.evaluation.results import DriftDecision, PerformanceDecision
from app.core.reference.profile import Kind
from app.offline.decision import Decision, decide
from app.offline.firing import Finding, Unjudged, findings_of
from app.registration.monitoring import MonitoringFile, TableColumns
from app.registration.roles import USUAL_IDS
from app.tables import FileOptions, read_table
from app.tables.files import FOUND, form_words

FOLDER = Path("artifacts", "drift")
MOST = 0.5
"""Share of the input that may be left unjudged. Above it, there is no decision."""

Verdict = Literal["drift", "findings", "no drift", "no decision"]


@dataclass(frozen=True, slots=True)
class Check:
    """Result of a check. Undecided or partly judged input never counts as "no drift".

    `findings`: what each enabled rule would fire for. `unjudged`: what no rule could judge. `repeated_ids`: the number
    of rows whose id occurred before; the stream counts an id once.
    """

    reference: str
    current: str
    checked_at: datetime
    decision: Decision | None
    warnings: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()
    """Descriptions of the files' formats, where these are unusual."""
    findings: tuple[Finding, ...] = ()
    unjudged: tuple[Unjudged, ...] = ()
    repeated_ids: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """Return notes on the files, and on how the reference was read."""
        read = None if self.decision is None else self.decision.reference
        return (*self.forms, *(() if read is None else read.notes))

    @property
    def fires(self) -> tuple[Finding, ...]:
        """Return the findings that make the check fail.

        These are all findings except those about features without any value, of which nothing is known.
        """
        drift = None if self.decision is None else self.decision.drift
        empty = set() if drift is None else set(_empty(drift))
        return tuple(finding for finding in self.findings if not finding.only_of(empty))

    @property
    def verdict(self) -> Verdict:
        """Return the verdict in words.

        "findings" means that there are some, but none of drift or degraded performance.
        """
        if self.decision is None:
            return "no decision"
        if self.decision.drifted or any(finding.is_drift for finding in self.fires):
            return "drift"
        if self.fires:
            return "findings"
        return "no decision" if self.warnings else "no drift"

    @property
    def exit_status(self) -> Literal[0, 1, 2]:
        """Return 1 where an enabled rule would fire, else 2 where the input was not judged, else 0."""
        if self.fires:
            return 1
        return 2 if self.decision is None or self.warnings else 0

    def told(self) -> dict[str, object]:
        """Return the complete result for JSON. `drifted` is null without a decision."""
        found = self.decision
        return {
            "checked_at": self.checked_at, "reference": self.reference, "current": self.current,
            "verdict": self.verdict, "drifted": None if self.verdict == "no decision" else self.verdict == "drift",
            "warnings": self.warnings, "notes": self.notes, "drift": found and found.drift,
            "performance": found and found.performance,
            "exit_status": self.exit_status, "findings": self.findings, "unjudged": self.unjudged,
            "repeated_ids": self.repeated_ids,
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
    """Judge one file against another.

    `kinds`: the only features to judge, with their kinds as in the metadata. A missing file is a warning and gives no
    decision. Too few rows, a feature without any value, or mostly unjudged input also give a warning. Then there is no
    decision unless a rule fires for something else. Raises TableError or MonitoringError, which name file, column or
    key. Raises OSError where a file exists but cannot be read.
    """
    absent = [path for path in (reference, current) if not path.is_file()]
    if absent:
        warnings = tuple(f"{path}: no such file, so nothing is decided" for path in absent)
        return Check(str(reference), str(current), now, None, warnings)
    tables = read_table(reference, options), read_table(current, options)
    forms = tuple(filter(None, (form_words(reference, options), form_words(current, options))))
    return check_tables(*tables, file, kinds=kinds, names=(str(reference), str(current)), forms=forms, now=now)


def check_tables(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    file: MonitoringFile | None = None,
    *,
    kinds: Mapping[str, Kind] | None = None,
    names: tuple[str, str] = ("reference", "current"),
    forms: tuple[str, ...] = (),
    now: datetime,
) -> Check:
    """Judge one table against another, as `check_files` does. `names`: what the two are called."""
    watched = MonitoringFile() if file is None else file
    ids = _id_column(watched.columns, current)
    if kinds is not None:
        watched = msgspec.structs.replace(watched, columns=_only(kinds, watched.columns, current))
    decision = decide(reference, current, watched)
    predicts = (watched.columns.prediction or "prediction") in current.columns
    findings, unjudged = findings_of(decision, watched.monitoring, now)
    return Check(
        *names, now, decision,
        tuple(_not_judged(decision, watched, names[1], predicts=predicts)), forms, findings, unjudged,
        0 if ids is None else _repeated(current[ids]),
    )  # fmt: skip


def _not_judged(decision: Decision, watched: MonitoringFile, current: str, *, predicts: bool) -> Iterator[str]:
    """Yield the reasons why the input, or most of it, was not judged."""
    drift = decision.drift
    if not drift.sufficient:
        fewest = watched.monitoring.drift.min_samples
        yield f"{drift.n:,} rows are too few to judge (drift.min_samples {fewest:,}), {drift.needed:,} more are needed"
        return
    empty = _empty(drift)
    if empty:
        yield f"{current} has no value of {', '.join(empty)}, so nothing is decided about it"
    if drift.unjudged_share > MOST:
        yield (
            f"{drift.unjudged_share:.0%} of the features' values are of the wrong type, or missing where the reference "
            "has them, so most of the input was not judged"
        )
    lost = drift.n - (drift.prediction.n if drift.prediction is not None else 0)
    if predicts and drift.prediction is not None and lost > MOST * drift.n:
        share = drift.prediction.reference_missing
        if lost / drift.n - share > MOST:
            rows = f"{lost:,} of {drift.n:,} rows"
            yield f"{rows} have no prediction that can be read, so the predictions were not judged"
    if decision.performance is not None:
        waits = watched.monitoring.performance.default_truth is not None and not decision.performance.judged
        if waits:
            yield f"performance was not judged: {decision.performance.reason}"
        else:
            yield from _truth_not_judged(decision.performance, watched.monitoring.performance.min_samples)


def _truth_not_judged(performance: PerformanceDecision, fewest: int) -> Iterator[str]:
    if mostly_left_out(performance):
        left = sum(performance.not_judged.values())
        yield f"{left:,} of {performance.feedback:,} rows with truth enter no metric, so performance was not judged"
    elif performance.feedback >= fewest and not performance.sufficient:
        yield f"performance was not judged: {performance.reason}"


def _empty(drift: DriftDecision) -> list[str]:
    return [feature.name for feature in drift.features if feature.n == 0]


def _id_column(columns: TableColumns, current: pd.DataFrame) -> str | None:
    return next((name for name in ((columns.id,) if columns.id else USUAL_IDS) if name in current.columns), None)


def _repeated(ids: pd.Series) -> int:
    """Return how many rows repeat the id of an earlier row."""
    return int(ids[ids.notna() & (ids != "")].duplicated().sum())


def _only(kinds: Mapping[str, Kind], columns: TableColumns, current: pd.DataFrame) -> TableColumns:
    """Return the columns with only these features; the table's other columns are ignored."""
    return msgspec.structs.replace(
        columns,
        features=tuple(kinds),
        numeric=tuple(name for name, kind in kinds.items() if kind == "numeric"),
        categorical=tuple(name for name, kind in kinds.items() if kind == "categorical"),
        ignore=(*columns.ignore, *(name for name in current.columns if name not in kinds)),
    )


def write_check(check: Check, output: Path) -> Path:
    """Write a check to artifacts/drift/drift_<its time in UTC>.json in a folder; return the path. Raises OSError."""
    folder = output / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"drift_{check.checked_at:%Y%m%dT%H%M%S.%f}Z.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(check.told()), indent=2))
    return path
