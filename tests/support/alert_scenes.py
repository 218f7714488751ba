"""What happens to models, by the kinds of alerts that it leads to: reports and alerts of others, moment by moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from app.alerting.events.external import AlertRequest, expired, transition_of
from app.alerting.events.self_monitoring import SELF, dead_letters_alert, dead_letters_over
from app.core.config.monitoring import Alerting, Monitoring, Rule, Windows
from app.core.config.rule_layers import RULES
from tests.support.reports import START, drift_report, end_of, feature, metric, performance_report
from topics.events import (
    AlertEvent,
    AnyReport,
    Cause,
    DriftAtScale,
    DriftReport,
    IntakeReport,
    MetricFinding,
    MetricScales,
    MonitorReport,
    PartitionStanding,
    ScaleFinding,
    Scales,
    Shape,
    TrafficReport,
    Volume,
)

Moment = Sequence[AnyReport | AlertEvent]
HOSTILE = "<b>&*_a_\n2026-06-01 12:00 UTC \u202e@everyone"
MINUTE = timedelta(minutes=1)


def at_once(**changes: Any) -> Monitoring:
    """Every rule fires, and is resolved, by one window."""
    defaults = Alerting()
    rules = {name: replace(getattr(defaults, name), for_windows=1, clear_windows=1) for name in RULES}
    return Monitoring(alerting=replace(defaults, **rules | changes), windows=Windows(retention=3600.0))


@dataclass(frozen=True)
class Scene:
    """`moments`: what comes at the same time; `monitoring`: by moment, of the last one from then on."""

    moments: Sequence[Moment]
    monitoring: Sequence[Monitoring] = (at_once(),)
    flapping: int = 0
    digest_above: int = 0
    with_values: bool = True
    gone: bool = False
    waits: float = 0.0


SHAPE = Shape(at=(1.0, 2.0), reference=(0.5, 1.0), current=(0.1, 1.0))
MONTHS = Cause(kind="unit", words="values are 12 times what they were (years as months?)", factor=12.0)


def drifted(*names: str, **changes: Any) -> list[Any]:
    """Features that have drifted, each less than the one before, and a calm one."""
    effects = [0.9 - i / 20 for i in range(len(names))]
    return [*(feature(name, effect, **changes) for name, effect in zip(names, effects, strict=True)), feature("calm")]


def finding(name: str = "age", fault: Any = "distribution", **changes: Any) -> ScaleFinding:
    fields: dict[str, Any] = {
        "name": name, "fault": fault, "panes": 4, "shortest": 2, "n": 166, "effect_size": 0.4, "threshold": 0.1,
        "p_value": 1e-9, "since_panes": 3, "earliest_panes": 4, "latest_panes": 3, "start": end_of(0) - 4 * MINUTE,
        "since": end_of(0) - 3 * MINUTE, "earliest": end_of(0) - 4 * MINUTE, "latest": end_of(0) - 3 * MINUTE,
        "column": feature(name, 0.4) if fault == "distribution" else None,
    }  # fmt: skip
    return ScaleFinding(**fields | changes)


def newest(*found: ScaleFinding, whole: DriftAtScale | None = None, window: int = 0) -> DriftReport:
    """A calm window of which the newest panes are not."""
    scales = Scales(spans=(1, 2, 4), chance=1e-5, found=found, data_drift=whole, drifted=True)
    return drift_report(window, features=[feature(name) for name in ("age", "size", "city")], scales=scales)


def calm(window: int = 3, **changes: Any) -> DriftReport:
    return drift_report(window, features=[feature(name) for name in ("age", "size", "city", "calm")], **changes)


WORSE = performance_report(
    0, metric("recall", 0.4), metric("f1", 0.07), metric("accuracy", -0.02),
    metric("roc_auc", 0.2, baseline=None, judged=False, degraded=False, reason="no baseline: undefined"),
    estimated=(metric("f1", value=0.79, low=0.78, high=0.8, degraded=False),),
    unknown_actuals={"d": 369}, not_judged={"missing prediction": 60}, show=("recall",),
)  # fmt: skip
AS_ESTIMATED = performance_report(
    1, metric("f1", 0.01), estimated=(metric("f1", value=0.79, low=0.78, high=0.8, degraded=False),)
)
AS_BEFORE = performance_report(3, metric("recall"), metric("f1"), metric("accuracy"))
ESTIMATED = performance_report(
    0, n=2000, feedback=20, coverage=0.01, sufficient=False, judged=False,
    metrics=(metric("recall", None, judged=False, reason="too few rows"),),
    estimated=(metric("recall", 0.1, degraded=True),),
)  # fmt: skip
NEWEST_METRIC = MetricFinding(
    name="recall", panes=3, shortest=1, n=240, effect_size=0.3, threshold=0.05, p_value=1e-9, since_panes=2,
    earliest_panes=3, latest_panes=2, end_panes=1, metric=metric("recall", 0.3, usual=0.02),
    since=end_of(0) - 2 * MINUTE, earliest=end_of(0) - 3 * MINUTE, latest=end_of(0) - 2 * MINUTE, end=end_of(0),
)  # fmt: skip
ENVELOPE: dict[str, Any] = {
    "model": "income", "model_version": "3", "profile_id": "abc", "window_start": end_of(-4), "window_end": end_of(0),
    "revision": 1, "sufficient": True, "emitted_at": START,
}  # fmt: skip


def _span(window: int) -> dict[str, Any]:
    return {"window_start": end_of(window - 4), "window_end": end_of(window)}


def traffic(window: int = 0, **changes: Any) -> TrafficReport:
    fields: dict[str, Any] = {
        **ENVELOPE, **_span(window), "n": 1200, "counts": (100,) * 12, "silent": 0, "usual": 100.0, "coverage": 0.8,
        "usual_coverage": 0.8, "feedback_silent": 0, "feedback_longest": 3, "feedback_gaps": 20, "feedback": 1000,
        "duplicates": 0, "late": 0, "expired": 0, "chance": 1e-6,
    }  # fmt: skip
    return TrafficReport(**fields | changes)


def dropped(recent: int, expected: float, window: int = 0, **changes: Any) -> TrafficReport:
    given = {"panes": 2, "recent": recent, "expected": expected, "p_value": 1e-9, "found": True}
    return traffic(window, volume=Volume(**given | changes))


def monitor(second: float, **partitions: tuple[float, int]) -> MonitorReport:
    """By partition: seconds behind, and dead letters of 1,000 records."""
    end = START + timedelta(seconds=second)
    standing = {
        name[1:]: PartitionStanding(n=1000, lag={"predictions": 5000, "feedback": 7}, behind_seconds=b, dead_letters=d)
        for name, (b, d) in partitions.items()
    }
    dead = sum(one.dead_letters for one in standing.values())
    return MonitorReport(**ENVELOPE | {
        "model": SELF, "model_version": "group", "profile_id": "", "window_start": end, "window_end": end, "n": 2000,
        "worker": "host:1", "lag": {}, "behind_seconds": 0.0, "partitions": standing,
        "dead_letters": {"unreadable": dead, "unknown": 1} if dead else {},
    })  # fmt: skip


def intake(topic: str = "predictions", window: int = 0, **changes: Any) -> IntakeReport:
    fields: dict[str, Any] = {
        **ENVELOPE, **_span(window),
        "n": 10, "topic": topic, "partition": 0, "dead_letters": {}, "unregistered": {}, "recent": 100,
        "recent_dead": 0, "recent_unregistered": 0, "settled": 0, "unmatched": 0, "threshold": 0.5,
        "unregistered_threshold": 0.01, "unmatched_threshold": 0.5,
    }  # fmt: skip
    return IntakeReport(**fields | changes)


OURS: dict[str, Any] = {"model": SELF, "model_version": "group", "profile_id": ""}
DEAD: dict[str, Any] = {
    "recent_dead": 90, "dead_letters": {"unreadable": 80, "no model": 10}, "last_reason": "unreadable",
    "last_offset": 4711,
}  # fmt: skip


def external(
    title: str | None = "nightly load failed", *, before: AlertEvent | None = None, **given: Any
) -> AlertEvent:
    return transition_of(AlertRequest(title=title, **given), before, START, "k1", "http://drift.example")


FULL = external(
    dedupe_key="load", level="critical", model="income", model_version="3", owner="ada", message="first\n\nsecond",
    runbook_url="https://wiki.example/load", metadata={f"m{i}": i for i in range(21)} | {"m0": "text", "m1": None},
)  # fmt: skip
BARE = external("disk is full", dedupe_key="disk")
HALTED = dead_letters_alert("predictions", 2, 99, START.timestamp(), "unreadable", 0.5, 1000, START)
MANY = tuple(f"feature {i}" for i in range(12))
UNEVEN = [
    feature("age", missing=700, invalid=300, reference_missing=0.1, missing_rises=True,
            cause=Cause(kind="missing", words="70 % of its values are missing")),
    feature("sex", missing=200, reference_missing=0.2, unseen=50, unseen_rises=True),
]  # fmt: skip
OWNED = at_once(owner="team churn", runbook_url="https://wiki.example/drift")
ONE = drift_report(features=drifted("age"))
BOTH = at_once(critical_features=("age", "size"))


def of_model(name: str, report: AnyReport) -> AnyReport:
    return type(report)(**{one: getattr(report, one) for one in report.__struct_fields__} | {"model": name})


def performance_of(features: Sequence[Any], window: int = 0) -> list[AnyReport]:
    """A window that has drifted and performs worse."""
    return [drift_report(window, features=features), performance_report(window, metric("recall", 0.4))]


SCENES: dict[str, Scene] = {
    "drift of one feature": Scene([[ONE], [calm()]]),
    "drift of many, of critical ones and of predictions": Scene(
        [
            [
                drift_report(
                    features=drifted("age", "size", "city", "plan", "job", "sex", "tax", cause=MONTHS, shape=SHAPE),
                    prediction=feature("prediction", 0.3),
                    probability=feature("probability", 0.2),
                )
            ],
            [drift_report(3, features=[feature(n) for n in ("age", "size", "calm")])],
        ],
        [BOTH],
    ),
    "of features that nobody named": Scene([[drift_report(features=drifted(*MANY))]]),
    "nothing differs but the predictions": Scene([[calm(0, prediction=feature("prediction", 0.3))]]),
    "drift, while performance is known": Scene([[WORSE, ONE]]),
    "drift, while performance is estimated": Scene([[ESTIMATED], [ONE]]),
    "performance, while drift is known": Scene([[drift_report(features=drifted("age", cause=MONTHS))], [WORSE]]),
    "performance, and nothing differs": Scene([[calm(0)], [performance_report(0, metric("recall", 0.4))]]),
    "performance and its estimate, then as before": Scene([[WORSE], [AS_BEFORE]]),
    "below its estimate, then as estimated": Scene([[WORSE], [AS_ESTIMATED]]),
    "worse, then much worse": Scene(
        [[performance_report(0, metric("f1", 0.07))], [performance_report(1, metric("f1", 0.3))]]
    ),
    "a limit instead of a baseline": Scene(
        [[performance_report(0, metric("mae", 0.08, baseline=0.0, value=0.8, absolute=0.8, scale=10.0, limit=0.5))]]
    ),
    "a metric in the newest panes": Scene(
        [
            [
                performance_report(
                    0,
                    metric("recall"),
                    metric("f1", 0.07),
                    scales=MetricScales(spans=(1,), truths=240, start_panes=3, end_panes=1, found=(NEWEST_METRIC,)),
                )
            ]
        ]
    ),
    "the newest panes": Scene(
        [
            [
                newest(
                    finding(cause=MONTHS),
                    finding("size", slow=True, moved=0.8, rate=0.02),
                    finding("city", "missing", start=None, since=None),
                    finding("city", "unseen", n=1, panes=1, earliest=end_of(0) - 3 * MINUTE),
                    finding("size", "type"),
                )
            ],
            [
                newest(
                    finding(),
                    finding("size"),
                    whole=DriftAtScale(panes=4, n=166, drift_share=0.67, drifted_features=("age", "size")),
                )
            ],
        ],
        [at_once(critical_features=("age",))],
    ),
    "bad data": Scene([[drift_report(features=UNEVEN, missing_share=0.35, unknown_features={"agee": 700})], [calm()]]),
    "not judged": Scene(
        [
            [calm(0, n=40, sufficient=False, needed=460, expected=end_of(9), not_judged_since=end_of(-99))],
            [calm(3)],
            [calm(4, n=40, sufficient=False, unjudged_share=0.7, not_judged_since=end_of(-99))],
        ]
    ),
    "no predictions": Scene(
        [
            [traffic(silent=3, missed=300.0, days=(1, 7))],
            [traffic(1)],
            [traffic(2, silent=3, missed=30.0)],
            [traffic(3)],
        ]
    ),
    "fewer predictions": Scene(
        [
            [dropped(1, 200.0, days=(1, 2))],
            [dropped(200, 200.0, 1, found=False, days=(1,))],
            [dropped(2, 90, 2)],
            [dropped(180, 190.0, 3, found=False)],
        ]
    ),
    "feedback stops, and covers less": Scene(
        [[traffic(feedback_silent=9, coverage=0.1, waiting=12)], [traffic(1, waiting=1)]]
    ),
    "feedback comes too late": Scene(
        [
            [traffic(recent_too_late=40.0, recent_joined=60.0, too_late=41)],
            [traffic(1, recent_too_late=0.0, recent_joined=60.0, too_late=41)],
        ]
    ),
    "a rule is switched off": Scene([[ONE], [calm()]], [at_once(), at_once(data_drift=Rule(enabled=False))]),
    "rules are switched off": Scene(
        [[*performance_of(drifted("age")), traffic(silent=9, missed=99.0)], [calm(1), AS_BEFORE, traffic(1)]],
        [BOTH, at_once(**{name: Rule(enabled=False) for name in RULES})],
    ),
    "the model is not registered any more": Scene([[ONE]], gone=True),
    "dead letters of a model, and of none": Scene(
        [
            [intake(**DEAD), intake("feedback", **DEAD)],
            [intake(window=1), intake("feedback", 1)],
            [intake(**OURS | DEAD)],
        ]
    ),
    "unregistered versions and unmatched feedback": Scene(
        [
            [
                intake(**OURS, recent_unregistered=30, unregistered={"income 9": 30}),
                intake("feedback", **OURS, settled=100, unmatched=80),
            ],
            [intake(window=1, **OURS), intake("feedback", 1, **OURS, settled=100)],
        ]
    ),
    "a worker is behind": Scene([[monitor(0, p0=(90.0, 0), p1=(95.0, 0), p2=(0.0, 90))], [monitor(1, p0=(1.0, 0))]]),
    "the stream stops": Scene([[HALTED], [dead_letters_over("predictions", 2, 99, START.timestamp(), START + MINUTE)]]),
    "alerts of others": Scene([[FULL], [external(None, before=FULL, status="resolved", dedupe_key="load")]]),
    "alerts of others, of no model": Scene(
        [
            [BARE, external("cpu is full", dedupe_key="cpu")],
            [expired(external(), START + 60 * MINUTE)],
            [external(before=None), expired(external(), START + 60 * MINUTE)],
        ]
    ),
    "an owner and a runbook": Scene([[ONE, traffic(silent=9, missed=99.0)], [calm()]], [OWNED]),
    "two ends while one fires": Scene(
        [performance_of(drifted("age", "size")), [drift_report(1, features=drifted("age")), AS_BEFORE]], [BOTH]
    ),
    "flapping, and settled": Scene(
        [[ONE], [calm(1)], [drift_report(2, features=drifted("age"))], [calm(4)]], flapping=1, waits=4000.0
    ),
    "many models at once": Scene(
        [[of_model(f"m{i}", ONE) for i in range(4)], [of_model(f"m{i}", calm()) for i in range(3)]], digest_above=2
    ),
    "no values of categories": Scene(
        [
            [
                drift_report(
                    features=drifted("city", kind="categorical", reference="a: 10%", current="b: 90%", cause=MONTHS)
                ),
                performance_report(0, metric("recall", 0.4), unknown_actuals={"secret": 400}),
            ]
        ],
        with_values=False,
    ),
    "hostile names": Scene([[drift_report(model=HOSTILE, features=drifted(HOSTILE, reference=HOSTILE))]]),
}
