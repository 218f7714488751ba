"""`driftline alerts list --pending`: rules that are breached in the kept reports, but not long enough to fire."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from app.alerting.events.self_monitoring import SELF
from app.alerting.rules.lifecycle import RuleState, breached_since, stage_of, step
from app.alerting.rules.model_rules import rule_of, verdicts_of
from app.commands.topic_reader import check_registered, events, registry
from app.core.config.monitoring import Monitoring, Rule
from app.registration.effective_monitoring import EffectiveMonitoring
from topics.events import AnyReport, to_epoch
from topics.registry import REPORTS

if TYPE_CHECKING:
    from app.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class PendingAlert:
    """Pending alert. `since`: end of the first breached window in the row; `windows`: number of windows in the row."""

    model: str
    model_version: str
    rule: str
    subject: str
    level: str
    since: datetime
    windows: int
    for_windows: int


async def pending(settings: Settings, model: str | None) -> list[PendingAlert]:
    """Evaluate the kept reports with the rules in force, as the worker does.

    Return the pending alerts, those that have been breached longest first. Raises CommandError.
    """
    watching = EffectiveMonitoring(settings, await registry(settings))
    of_itself = watching.of(SELF, Monitoring(), {})
    decoder: msgspec.json.Decoder[AnyReport] = msgspec.json.Decoder(AnyReport)
    known: dict[tuple[str, str, str, str], tuple[RuleState, Rule]] = {}
    async for found in events(settings, REPORTS, decoder.decode):
        report = None if found is None else found[1]
        if report is None:
            continue
        monitoring = of_itself if report.model == SELF else watching.get(report.model, report.model_version)
        if monitoring is None or model not in (None, report.model):
            continue
        for verdict in verdicts_of(report, monitoring):
            key = (report.model, report.model_version, verdict.rule, verdict.subject)
            before = known[key][0] if key in known else RuleState()
            rule = rule_of(verdict, monitoring.alerting)
            after, _ = step(before, verdict, to_epoch(report.window_end), report.revision, rule)
            known[key] = after, rule
    if not known and model is not None:
        await check_registered(settings, model)
    return sorted(_pending(known), key=lambda one: (one.since, one.model, one.model_version, one.rule, one.subject))


def _pending(known: dict[tuple[str, str, str, str], tuple[RuleState, Rule]]) -> Iterator[PendingAlert]:
    for (model, version, name, subject), (state, rule) in known.items():
        if stage_of(state) == "pending":
            row = breached_since(state)
            since = datetime.fromtimestamp(row[0], UTC)
            yield PendingAlert(model, version, name, subject, rule.level, since, len(row), rule.for_windows)
