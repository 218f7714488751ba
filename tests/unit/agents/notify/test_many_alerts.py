"""Many models at once: one digest a channel and route, over all partitions of a worker, and the bookkeeping of each."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.alerting.notify.channel import Permanent, Retryable
from app.alerting.notify.retry_policy import RetryPolicy
from app.alerting.notify.routing import Policy, Routing
from app.core.config.routes import Route
from tests.support.alert_events import resolved
from tests.support.notify_world import MODELS, StubChannel, Worker, alert_of, passing, storm

POLICY = Policy(wait=5.0, interval=60.0, repeat=3600.0)


def many(*channels: StubChannel, **changes: object) -> Worker:
    return Worker(list(channels), routing=Routing(policy=POLICY), digest_above=10, **changes)  # type: ignore[arg-type]


async def test_two_hundred_models_at_once_are_one_digest_the_worst_first_and_so_are_their_ends() -> None:
    slack = StubChannel("slack")
    worker = many(slack)
    alerts = [alert_of(i, "critical" if i in (7, 150) else "error", value=1 + i / 100) for i in range(MODELS)]
    await storm(worker, alerts)
    await passing(worker, 30)
    (digest,) = slack.told
    assert [alert.alert_id for alert in digest.firing[:3]] == ["m150", "m7", "m199"]
    assert (len(digest.firing), digest.level, digest.reason) == (MODELS, "critical", "many groups at once")
    assert digest.title == "200 model versions: 200 alerts fire (2 critical, 198 error); the worst: m150 1: drift"
    assert (digest.group, digest.group_labels) == ("default{}", {})
    assert digest.links == {"dashboard": "http://d.example/dashboard", "alerts": "http://d.example/dashboard#/alerts"}
    assert {(event.alert_id, event.outcome) for event in worker.sent} == {(f"m{i}", "delivered") for i in range(MODELS)}
    worker.restart()
    await storm(worker, [resolved(alert) for alert in alerts])
    await passing(worker, 70, every=2)
    _, ended = slack.told
    assert (len(ended.resolved), ended.status, ended.title) == (
        MODELS, "resolved", "200 model versions: 200 resolved"
    )  # fmt: skip
    assert not [key for key in worker.table if "/group/" in key or "/pending/" in key]


async def test_each_route_and_channel_has_its_own_and_channels_of_incidents_have_none() -> None:
    slack, email, pager, log = (StubChannel(name) for name in ("slack", "email", "pager", "log"))
    pager.digests = log.digests = False  # type: ignore[attr-defined]
    routes = (
        Route(matchers=("model=~m.?",), channels=("slack",), name="one digit"),
        Route(channels=("slack", "email", "pager", "log")),
    )
    worker = many(slack, email, pager, log)
    worker.routing = Routing(routes, policy=POLICY)
    worker.restart()
    await storm(worker, [alert_of(i) for i in range(100)])
    await passing(worker, 40)
    assert sorted(len(told.firing) for told in slack.told) == [1] * 10 + [90]
    assert [len(told.firing) for told in email.told] == [90]
    assert (len(pager.told), len(log.told)) == (90, 90)


@pytest.mark.slow
async def test_what_comes_late_is_in_the_next_digest_and_few_are_sent_one_by_one() -> None:
    slack = StubChannel("slack")
    worker = many(slack)
    await storm(worker, [alert_of(i) for i in range(50)])
    await passing(worker, 20)
    await storm(worker, [alert_of(i) for i in range(50, 100)])
    await passing(worker, 90)
    assert [len(told.firing) for told in slack.told] == [50, 50]
    for number in range(100, 110):
        await storm(worker, [alert_of(number)])
        await passing(worker, 5)
    await passing(worker, 60)
    assert [len(told.firing) for told in slack.told[2:]] == [1] * 10


async def test_a_digest_that_fails_is_tried_again_as_one() -> None:
    failures = [Retryable("not now")] * 10
    slack = StubChannel("slack", answers=[*failures])
    worker = many(slack, patience=RetryPolicy(longest_wait=300.0))
    await storm(worker, [alert_of(i) for i in range(40)])
    await passing(worker, 30, every=3)
    assert slack.attempts >= 2, "the second does not wait for the next digest's time"
    await passing(worker, 2000, every=8)
    assert (slack.attempts, [len(told.firing) for told in slack.told]) == (11, [40])
    assert not worker.undelivered


async def test_a_digest_that_is_given_up_is_kept_by_group_and_sent_again_as_one() -> None:
    slack = StubChannel("slack", answers=[Permanent("no"), Permanent("no")])
    worker = many(slack)
    await storm(worker, [alert_of(i) for i in range(40)])
    await passing(worker, 30)
    for _ in range(2):
        worker.now += timedelta(seconds=3540)
        await passing(worker, 60)
    assert (slack.attempts, [len(told.firing) for told in slack.told]) == (3, [40])
    assert len([event for event in worker.sent if event.outcome == "failed"]) == len(worker.undelivered) == 80
    assert len(worker.taken_back) == 80
