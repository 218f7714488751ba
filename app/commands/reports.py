"""`driftline reports`: reports of the stream, window by window."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import (
    ApiKey,
    ApiKeyFile,
    ApiUrl,
    AsJson,
    Bootstrap,
    Follow,
    Model,
    OnlyVersion,
    Prefix,
    print_json,
    reached,
)
from app.commands.usual_words import usual_words
from app.core.evaluation.accounting import accounting_of, counted
from app.core.evaluation.too_few import too_few

if TYPE_CHECKING:
    from app.commands.api_client import ApiClient
    from app.settings.settings import Settings
    from topics.events import AnyReport, DriftReport, IntakeReport, MonitorReport, PerformanceReport, TrafficReport


class ReportKind(StrEnum):
    """Kinds of report."""

    drift = "drift"
    performance = "performance"
    traffic = "traffic"
    monitor = "monitor"
    intake = "intake"


OnlyKind = Annotated[ReportKind | None, typer.Option("--kind", help="Only this kind.")]
Last = Annotated[int | None, typer.Option(min=1, help="Only the last N windows.")]


def reports(
    model: Model,
    version: OnlyVersion = None,
    kind: OnlyKind = None,
    last: Last = None,
    follow: Follow = False,
    json_: AsJson = False,
    api: ApiUrl = None,
    api_key: ApiKey = None,
    api_key_file: ApiKeyFile = None,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Show the reports of the stream, window by window.

    The newest revision of each window is shown. With --api: drift and performance of the newest windows.

    \b
    Examples:
      driftline reports --model churn
      driftline reports --model churn --version 3 --kind performance --last 10
      driftline reports --model churn --follow --json | jq .drifted_features
      driftline reports --model churn --api https://driftline.example.org
    """
    settings, client = reached(api, api_key, api_key_file, bootstrap_servers, prefix)
    wanted = _Wanted(model, version, kind)
    if client is None:
        asyncio.run(_show(settings, wanted, last, follow=follow, as_json=json_))
        return
    with client:
        _show_over_http(client, wanted, last, follow=follow, as_json=json_)


class _Wanted:
    """Selected reports, the newest revision of each window."""

    def __init__(self, model: str, version: str | None, kind: ReportKind | None) -> None:
        import msgspec

        from topics.events import AnyReport

        self.model, self.version, self.kind = model, version, kind
        self.decoder: msgspec.json.Decoder[AnyReport] = msgspec.json.Decoder(AnyReport)
        self.newest: dict[tuple[str, str, float], AnyReport] = {}

    def take(self, report: AnyReport) -> AnyReport | None:
        """Keep a report, and return it if it is selected and not older than the known revision; None otherwise."""
        kind = kind_of(report)
        if report.model != self.model or self.version not in (None, report.model_version):
            return None
        if self.kind not in (None, kind):
            return None
        key = _key(report)
        known = self.newest.get(key)
        if known is not None and known.revision > report.revision:
            return None
        self.newest[key] = report
        return report

    def has(self, report: AnyReport) -> bool:
        """Return whether exactly this report was taken already."""
        return self.newest.get(_key(report)) == report


def _key(report: AnyReport) -> tuple[str, str, float]:
    return report.model_version, kind_of(report), report.window_end.timestamp()


async def _show(settings: Settings, wanted: _Wanted, last: int | None, *, follow: bool, as_json: bool) -> None:
    from app.commands.topic_reader import check_registered, events, learning
    from app.registration.versions_table import learning_words
    from topics.registry import REPORTS

    live = False
    async for found in events(settings, REPORTS, wanted.decoder.decode, follow=follow):
        if found is not None:
            report = None if found[1] is None else wanted.take(found[1])
            if live and report is not None:
                _print([report], as_json)
            continue
        live = True
        if not wanted.newest:
            await check_registered(settings, wanted.model, wanted.version)
            for life in await learning(settings, wanted.model, wanted.version):
                print(f"{life.model} {life.model_version}: {learning_words(life)}", file=sys.stderr, flush=True)
            if not as_json:
                print("no reports yet", flush=True)
        _print(_windows(wanted.newest.values(), last), as_json)


def _show_over_http(client: ApiClient, wanted: _Wanted, last: int | None, *, follow: bool, as_json: bool) -> None:
    from app.commands.reports_over_http import reports_over_http

    kind = None if wanted.kind is None else wanted.kind.value
    live = False
    for report in reports_over_http(client, wanted.model, wanted.version, kind, follow=follow):
        if report is None:
            live = True
            if not wanted.newest and not as_json:
                print("no reports yet", flush=True)
            _print(_windows(wanted.newest.values(), last), as_json)
        elif live and wanted.has(report):
            continue
        elif (taken := wanted.take(report)) is not None and live:
            _print([taken], as_json)


def _windows(found: Iterable[AnyReport], last: int | None) -> list[AnyReport]:
    ordered = sorted(found, key=lambda r: (r.window_end, r.model_version, kind_of(r)))
    ends = sorted({report.window_end for report in ordered})
    first = ends[-last] if last is not None and len(ends) > last else None
    return [report for report in ordered if first is None or report.window_end >= first]


def _print(found: Iterable[AnyReport], as_json: bool) -> None:
    for report in found:
        if as_json:
            print_json(report)
        else:
            print(line_of(report), flush=True)


def kind_of(report: AnyReport) -> str:
    """Return the kind of a report, as in the event."""
    return str(report.__struct_config__.tag)


def line_of(report: AnyReport) -> str:
    """Return one report as one line of text."""
    from topics.events import DriftReport, IntakeReport, PerformanceReport, TrafficReport

    head = f"{report.window_end:%Y-%m-%d %H:%M:%S} v{report.model_version} {kind_of(report):<11} n {report.n:>7,}"
    if isinstance(report, DriftReport):
        words = _drift(report)
    elif isinstance(report, PerformanceReport):
        words = _performance(report)
    elif isinstance(report, IntakeReport):
        words = _intake(report)
    else:
        words = _traffic(report) if isinstance(report, TrafficReport) else _monitor(report)
    return f"{head}  {'  '.join(words)}  (revision {report.revision})"


def _drift(report: DriftReport) -> Iterator[str]:
    from topics.events import minute_of

    yield from _newest_panes(report)
    usual = report.usual
    if usual is not None and usual.source == "learning":
        yield usual_words(usual.source, usual.days, usual.needs, minute_of(usual.until))
    if not report.sufficient:
        detectable = None if report.scales is None else report.scales.detectable
        first = 0 if report.scales is None else report.scales.needed
        expected = minute_of(report.expected), minute_of(report.expected_first)
        yield too_few(report.n, report.needed, detectable, expected[0], first, expected[1])
        if report.not_judged_since is not None:
            yield f"not judged since {minute_of(report.not_judged_since)}"
        return
    yield "DRIFT" if report.drift_detected else "no drift"
    yield f"share {report.drift_share:.2f}"
    for feature in report.features:
        if feature.drifted and feature.statistic is not None:
            yield f"{feature.name} {feature.test} {feature.statistic:.3f} {feature.direction}".rstrip()
    if report.prediction_drift:
        yield "prediction drift"
    for reason in ("missing", "invalid", "unseen", "out_of_range"):
        counts = {feature.name: getattr(feature, reason) for feature in report.features}
        if any(counts.values()):
            yield f"{reason.replace('_', ' ')}: {counted(counts, most=3, what='features')}"
    if report.unknown_features:
        yield f"unknown features: {counted(report.unknown_features, most=3, what='features')}"
    if report.left_out:
        yield f"left out: {counted(report.left_out)}"


def _newest_panes(report: DriftReport) -> Iterator[str]:
    """Yield the findings of the newest panes alone."""
    for one in () if report.scales is None else report.scales.found:
        what = "" if one.fault == "distribution" else f" {one.fault}"
        panes = "pane" if one.panes == 1 else f"{one.panes:,} panes"
        yield f"NEWEST {panes}: {one.name}{what} {one.effect_size:.3f} ({one.n:,} rows)"


def _performance(report: PerformanceReport) -> Iterator[str]:
    from topics.events import minute_of

    if not report.sufficient or not report.judged:
        yield f"not judged: {report.reason}" if report.reason else "insufficient, not judged"
        if report.expected is not None:
            yield f"{report.needed:,} more truths are needed, at the present rate by {minute_of(report.expected)}"
    else:
        yield f"DEGRADED {', '.join(report.degraded_metrics)}" if report.degraded else "not degraded"
    yield f"coverage {report.coverage:.0%}"
    for metric in report.metrics:
        if metric.value is not None:
            alone = report.judged and not metric.judged
            yield f"{metric.name} {metric.value:.3f}{f' (not judged: {metric.reason})' if alone else ''}"
    yield from accounting_of(report)
    if report.left_out:
        yield f"left out: {counted(report.left_out)}"


def _traffic(report: TrafficReport) -> Iterator[str]:
    yield f"none for {report.silent} panes" if report.silent else f"{report.counts[-1]:,} in the last pane"
    yield f"usual {report.usual:.4g}"
    yield f"coverage {report.coverage:.0%}"
    totals = {"late": report.late, "repeated id": report.duplicates, "truth without a prediction": report.waiting}
    if any(totals.values()):
        yield f"left out: {counted(totals)}"


def _monitor(report: MonitorReport) -> Iterator[str]:
    yield f"{report.worker} is {report.behind_seconds:.0f} s behind, {sum(report.lag.values()):,} records"
    yield f"dead letters {sum(report.dead_letters.values()):,}"


def _intake(report: IntakeReport) -> Iterator[str]:
    yield f"{report.topic} partition {report.partition}"
    yield f"dead letters {sum(report.dead_letters.values()):,}"
    yield f"{report.recent_dead + report.recent_unregistered:,} of the newest {report.recent:,}"
    if report.unregistered:
        yield f"not registered: {', '.join(report.unregistered)}"
    if report.settled:
        yield f"{report.unmatched:,} of {report.settled:,} without a prediction"
