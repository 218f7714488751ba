"""Rules on records that were not counted, over the reports of all partitions of a topic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from app.alerting.rules.verdict import Verdict, VerdictState
from app.core.config.monitoring import Alerting
from topics.events import IntakeReport

DEAD_LETTERS = "dead_letters"
UNREGISTERED = "unregistered"
UNMATCHED = "unmatched"
INTAKE_RULES = (DEAD_LETTERS, UNREGISTERED, UNMATCHED)

FEWEST = 20
"""Number of records set aside or unmatched below which no share of them is an alert."""


class Recent(Struct, frozen=True, array_like=True):
    """The newest records of one partition, as its report counts them."""

    recent: int
    dead: int
    unregistered: int
    settled: int
    unmatched: int


class Intake(Struct, frozen=True):
    """Newest counts of all partitions of one topic, for one model version or for records that name none."""

    partitions: dict[str, Recent] = {}

    def noted(self, report: IntakeReport) -> Intake:
        """Return the counts with those of the report's partition replaced."""
        found = Recent(report.recent, report.recent_dead, report.recent_unregistered, report.settled, report.unmatched)
        return Intake({**self.partitions, str(report.partition): found})

    def over_all(self, report: IntakeReport) -> IntakeReport:
        """Return the report with the newest records of all partitions instead of its own."""
        found = self.partitions.values()
        return replace(
            report,
            recent=sum(one.recent for one in found),
            recent_dead=sum(one.dead for one in found),
            recent_unregistered=sum(one.unregistered for one in found),
            settled=sum(one.settled for one in found),
            unmatched=sum(one.unmatched for one in found),
        )


def of_intake(report: IntakeReport, alerting: Alerting) -> Iterator[Verdict]:
    """Yield the verdicts on records that were not counted.

    These are records set aside, records of unregistered model versions, and feedback without a prediction.
    """
    evidence: dict[str, object] = {
        "dead_letters": report.dead_letters, "recent": report.recent, "recent_dead": report.recent_dead,
        "last_reason": report.last_reason, "last_offset": report.last_offset, "partition": report.partition,
    }  # fmt: skip
    yield _share(
        DEAD_LETTERS, report.topic, (report.recent_dead, report.recent), report.threshold,
        alerting.dead_letters.hysteresis, evidence,
    )  # fmt: skip
    if _is_of(report, "predictions"):
        yield _share(
            UNREGISTERED, report.topic, (report.recent_unregistered, report.recent), report.unregistered_threshold,
            alerting.unregistered.hysteresis, {"unregistered": report.unregistered, "recent": report.recent},
        )  # fmt: skip
    if _is_of(report, "feedback"):
        yield _share(
            UNMATCHED, report.topic, (report.unmatched, report.settled), report.unmatched_threshold,
            alerting.unmatched.hysteresis, {"settled": report.settled, "unmatched": report.unmatched},
        )  # fmt: skip


def _is_of(report: IntakeReport, topic: str) -> bool:
    """Return whether a report is about records of a topic that name no registered model version."""
    return not report.profile_id and report.topic == topic


def _share(
    rule: str, subject: str, counted: tuple[int, int], threshold: float, hysteresis: float,
    evidence: Mapping[str, object],
) -> Verdict:  # fmt: skip
    """Return the verdict on a share of the newest records. A breach needs at least `FEWEST` of them."""
    some, of = counted
    share = some / max(of, 1)
    state: VerdictState = "between"
    if share > threshold and some >= FEWEST:
        state = "breach"
    elif share <= threshold * hysteresis or some < FEWEST:
        state = "clear"
    return Verdict(rule, subject, state, share, threshold, evidence)
