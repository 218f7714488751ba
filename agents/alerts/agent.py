"""Agent that makes alerts of reports: evaluates each rule, keeps its state, and publishes its transitions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from agents.agent import Agent
from agents.alerts.retired_versions import GONE, resolved
from agents.alerts.store import AlertStore, IntakeKey, RuleKey, VersionKey
from agents.loop_slices import in_slices
from agents.output import Output, alert_record
from app.alerting.events.alert_event import alert_of, nameless
from app.alerting.events.deployments import DeploymentChange, Deployments, NoDeployments, changes_of
from app.alerting.events.related_window import RelatedWindows, noted
from app.alerting.events.self_monitoring import SELF
from app.alerting.rules.lifecycle import RuleState, Stage, stage_of, step
from app.alerting.rules.model_rules import (
    CRITICAL_FEATURE,
    ESTIMATE,
    FEATURE_DRIFT,
    NOT_JUDGED,
    PERFORMANCE,
    Verdict,
    off,
    rule_of,
    verdicts_of,
)
from app.alerting.rules.not_counted import Intake
from app.alerting.rules.service_rules import MONITOR, OF_PARTITION
from app.alerting.rules.version_life import Lives, NoLives, moved, newer_of, retired, words
from app.alerting.rules.version_life import noted as noted_life
from app.core.config.monitoring import Monitoring
from app.faust_batches.batch import Batch
from app.ingest.decoding import STRAY, Record, Rejected, decode
from app.kafka.producer import Outgoing
from topics.events import (
    AlertEvent,
    AnyReport,
    DriftReport,
    IntakeReport,
    Level,
    MonitorReport,
    PerformanceReport,
    TrafficReport,
    VersionEvent,
    to_epoch,
)
from topics.partition import partition_of
from topics.registry import ALERTS, REPORTS, VERSIONS, Topic

Models = Callable[[str, str], Monitoring | None]
"""Lookup of the monitoring configuration of a model version; None where the version is not registered."""

TIDIED_EVERY = timedelta(seconds=30)

_reports: msgspec.json.Decoder[AnyReport] = msgspec.json.Decoder(AnyReport)


@dataclass(slots=True)
class AlertsRun:
    """Result of a batch of reports, not applied yet. `next_offset`: None for an empty batch."""

    alerts: list[AlertEvent] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    states: dict[RuleKey, RuleState] = field(default_factory=dict)
    beside: dict[VersionKey, RelatedWindows] = field(default_factory=dict)
    intakes: dict[IntakeKey, Intake] = field(default_factory=dict)
    lives: dict[VersionKey, VersionEvent] = field(default_factory=dict)
    next_offset: int | None = None


class AlertsAgent(Agent):
    """Agent that judges reports by each model version's rules.

    The states are in an `AlertStore`, which has the `table`. `catch_up` brings `models` up to date: a report of an
    unknown model waits for it once. `page`: the address of the API, for the alerts' links. `with_values`: whether
    alerts name values of categories. `deployments`: deployments of the models, for the likely causes.

    `partitions`: the number of `reports`. The owner of a partition removes its model versions that are retired or no
    longer registered; 0: none is removed. `is_registered`: whether a model version is registered.
    """

    name = "alerts"
    inputs = (REPORTS,)

    def __init__(  # noqa: PLR0913 - what it works with, each with its default
        self,
        table: MutableMapping[str, bytes],
        models: Models,
        *,
        catch_up: Callable[[], Awaitable[None]] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        page: str = "",
        lives: Lives | None = None,
        with_values: bool = True,
        deployments: Deployments | None = None,
        partitions: int = 0,
        is_registered: Callable[[str, str], bool] = lambda model, version: True,
    ) -> None:
        self._store = AlertStore(table)
        self._models = models
        self._catch_up = catch_up
        self._now = now
        self._page = page
        self._lives: Lives = NoLives() if lives is None else lives
        self._with_values = with_values
        self._deployments: Deployments = NoDeployments() if deployments is None else deployments
        self._partitions = partitions
        self._is_registered = is_registered
        self._tidied: dict[int, datetime] = {}

    def position(self, topic: Topic, partition: int) -> int:
        """Return the offset to read a partition of `reports` from; 0 before anything was applied."""
        return self._store.next_offset(partition)

    async def handle(self, batch: Batch, out: Output) -> None:
        """Take a batch: publish alerts, then write the state.

        A crash in between sends the same alerts, by alert_id, again.
        """
        if batch.records:
            await self._take(batch, out)
        if self._partitions:
            await self.tidy(batch.partition, out)

    async def _take(self, batch: Batch, out: Output) -> None:
        run = await in_slices(self.run(batch.partition, batch.records))
        if self._catch_up is not None and any(isinstance(found, _Unknown) for found in run.rejected):
            await self._catch_up()
            run = await in_slices(self.run(batch.partition, batch.records))
        if run.rejected:
            await out.dead_letter(batch, run.rejected)
        if run.lives:
            await out.publish(VERSIONS, [_version_record(life) for life in run.lives.values()])
        await self._publish(run.alerts, out)
        self.apply(batch.partition, run)

    async def _publish(self, alerts: Sequence[AlertEvent], out: Output) -> None:
        if alerts:
            await out.publish(ALERTS, [alert_record(alert, out.partitions) for alert in alerts])

    def run(self, partition: int, records: Sequence[Record]) -> Generator[None, None, AlertsRun]:
        """Return the result of a batch, in slices. Changes nothing."""
        run = AlertsRun()
        for record in self._store.unapplied(partition, records):
            yield
            run.next_offset = record.offset + 1
            report = decode(record, _reports)
            if isinstance(report, Rejected):
                run.rejected.append(report)
                continue
            monitoring = self._models(report.model, report.model_version)
            if monitoring is None:
                named = f"model {report.model!r} version {report.model_version!r}"
                run.rejected.append(_Unknown(record, f"{named} is not registered: run `driftline register`"))
                continue
            try:
                report = report if self._with_values else nameless(report)
                judged = AlertsRun(
                    states={**run.states}, beside={**run.beside}, intakes={**run.intakes}, lives={**run.lives}
                )
                self._judge(report, monitoring, judged)
            except STRAY as error:
                run.rejected.append(Rejected(record, f"it cannot be judged: {type(error).__name__}"))
                continue
            run.alerts += judged.alerts
            run.states, run.beside, run.intakes = judged.states, judged.beside, judged.intakes
            run.lives = judged.lives
        return run

    def apply(self, partition: int, run: AlertsRun) -> None:
        """Write the result of a batch, then the applied offset."""
        self._store.write(partition, run.states, run.beside, run.intakes, run.next_offset)

    async def tidy(self, partition: int, out: Output) -> None:
        """Resolve, now and then, the firing alerts of retired or unregistered model versions, and remove their state.

        Only the partition's own model versions are removed; other workers have the others. In this order, a crash in
        between sends the same events, by alert_id, again.
        """
        now = self._now()
        if now - self._tidied.get(partition, now - TIDIED_EVERY) < TIDIED_EVERY:
            return
        self._tidied[partition] = now
        gone: list[str] = []
        closed: dict[RuleKey, str] = {}
        for key, version, rule in self._store.entries():
            if partition_of(*version, self._partitions) != partition:
                continue
            life = self._lives.get(*version)
            if version[0] != SELF and not self._is_registered(*version):
                why = GONE
            elif life is not None and life.status == "retired" and rule is not None:
                why = words(life)
            else:
                continue
            gone.append(key)
            if rule is not None:
                closed[rule] = why
        await self._publish(list(resolved(closed, self._store.rule_state, now, self._page)), out)
        self._store.remove(gone)

    def stages(self) -> Iterator[tuple[str, str, str, Stage]]:
        """Yield model, version, rule and stage of each alert that is pending or fires, by the table."""
        for *names, stage, _ in self.levels():
            yield names[0], names[1], names[2], stage

    def levels(self) -> Iterator[tuple[str, str, str, Stage, Level]]:
        """Yield model, version, rule, stage and level of each alert that is pending or fires, by the table."""
        for (model, version, rule, _), state in self._store.rule_states():
            stage = stage_of(state)
            if stage != "calm":
                severe = state.severe and stage == "firing"
                yield model, version, rule, stage, "critical" if severe else self._level(model, version, rule)

    def _level(self, model: str, version: str, rule: str) -> Level:
        monitoring = self._models(model, version) or Monitoring()
        level: Level = getattr(monitoring.alerting, rule).level
        return level

    def _judge(self, report: AnyReport, monitoring: Monitoring, run: AlertsRun) -> None:
        if isinstance(report, IntakeReport):
            report = self._over_all(report, run)
        changes = self._changes(report)
        verdicts = self._of_lives(report, verdicts_of(report, monitoring), run)
        beside = self._note(report, run, changes)
        for verdict in (*verdicts, *self._unnamed(report, verdicts, run)):
            key = state_key(report, verdict)
            before = run.states.get(key) or self._store.rule_state(key)
            if verdict.rule in SELDOM and verdict.state != "breach" and not before.ring:
                continue
            rule = rule_of(verdict, monitoring.alerting)
            after, transition = step(before, verdict, to_epoch(report.window_end), report.revision, rule)
            if after is not before:
                run.states[key] = after
            if transition is not None:
                alert = alert_of(
                    report, verdict, transition, rule, emitted_at=self._now(), page=self._page, beside=beside,
                    changes=changes,
                )  # fmt: skip
                run.alerts.append(alert)

    def _of_lives(self, report: AnyReport, verdicts: list[Verdict], run: AlertsRun) -> list[Verdict]:
        """Return the verdicts, adapted where the version is retired or newer versions have its traffic.

        Note the version's changes in `run`.
        """
        named = (report.model, report.model_version)
        known = run.lives.get(named) or self._lives.get(*named)
        if isinstance(report, TrafficReport):
            newer = newer_of(report, known, self._lives.of(report.model))
            judged = [moved(verdict, report, newer) for verdict in verdicts]
            verdicts, by = [verdict for verdict, _ in judged], max(by for _, by in judged)
            change = retired(report, by) if by else noted_life(report, known)
            if change is not None:
                known = run.lives[named] = change
        if known is None or known.status != "retired" or isinstance(report, IntakeReport | MonitorReport):
            return verdicts
        return [off(verdict.rule, verdict.subject, words(known)) for verdict in verdicts]

    def _over_all(self, report: IntakeReport, run: AlertsRun) -> IntakeReport:
        """Return the report combined with those of the topic's other partitions, and note this report."""
        key = report.model, report.model_version, report.topic
        before = run.intakes.get(key) or self._store.intake(key)
        after = run.intakes[key] = before.noted(report)
        return after.over_all(report)

    def _changes(self, report: AnyReport) -> list[DeploymentChange]:
        """Return recent deployment changes of the model if the newest panes of a report show a change."""
        if not isinstance(report, DriftReport) or report.scales is None or not report.scales.found:
            return []
        return changes_of(report.model, self._deployments, self._lives)

    def _note(self, report: AnyReport, run: AlertsRun, changes: Sequence[DeploymentChange]) -> RelatedWindows | None:
        """Return the related windows of the model version, with this report added."""
        if not isinstance(report, DriftReport | PerformanceReport):
            return None  # alerts on traffic, feedback and the monitor have no related windows
        key = report.model, report.model_version
        before = run.beside.get(key) or self._store.beside(key)
        after = noted(before, report, changes)
        if after is not before:
            run.beside[key] = after
        return after

    def _unnamed(self, report: AnyReport, verdicts: Sequence[Verdict], run: AlertsRun) -> list[Verdict]:
        """Return `off` verdicts for the features and metrics that were judged separately before, and no longer are."""
        named = {(verdict.rule, verdict.subject) for verdict in verdicts}
        gone = []
        for rule, reason in _BY_NAME.get(type(report), {}).items():
            of_rule = report.model, report.model_version, rule
            unsaved = [key.subject for key in run.states if key[:3] == of_rule]
            once = dict.fromkeys([*self._store.subjects(*of_rule), *unsaved])
            gone += [off(rule, name, reason) for name in once if (rule, name) not in named and is_gone(report, name)]
        return gone


SELDOM = (FEATURE_DRIFT, NOT_JUDGED)
"""Rules that have a state only once they have been breached: of hundreds of features most never are."""
_NO_METRIC = "it is not among the report's metrics any more"
_BY_NAME: dict[type, dict[str, str]] = {
    DriftReport: {
        CRITICAL_FEATURE: "it is not in alerting.critical_features any more",
        FEATURE_DRIFT: "it is not judged as one of the other features any more",
    },
    PerformanceReport: {PERFORMANCE: _NO_METRIC, ESTIMATE: _NO_METRIC},
    MonitorReport: {MONITOR: "alerts about workers are about their partitions now"},
}
"""Rules whose subjects change with the registration, and the message for a removed subject."""


def is_gone(report: AnyReport, subject: str) -> bool:
    """Return whether a subject that is missing from a report is removed. Other workers have other partitions."""
    return not isinstance(report, MonitorReport) or OF_PARTITION not in subject


class _Unknown(Rejected, frozen=True):
    """Rejected because its model is not registered, as far as is known."""


def state_key(report: AnyReport, verdict: Verdict) -> RuleKey:
    """Return the key of the rule state that a verdict changes."""
    return RuleKey(report.model, report.model_version, verdict.rule, verdict.subject)


def _version_record(life: VersionEvent) -> Outgoing:
    return Outgoing(f"{life.model}/{life.model_version}".encode(), msgspec.json.encode(life))
