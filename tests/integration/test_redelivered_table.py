"""What was given up and sent again, as a worker sees it in Kafka."""

from __future__ import annotations

import msgspec

from app.alerting.notify.delivery_events import key_of, undelivered_event
from app.alerting.notify.redelivered_table import RedeliveredTable
from app.alerting.notify.retry_policy import PendingNotification
from app.kafka.producer import Producer
from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from tests.support.alert_events import notification_of, of_rule, resolved
from topics.registry import UNDELIVERED


async def test_what_leaves_the_list_was_heard_and_nothing_else(settings: Settings) -> None:
    await ensure_topics(settings, [UNDELIVERED])
    drift, worse = of_rule("data_drift"), of_rule("performance")
    letters = [
        PendingNotification(
            notification=notification_of(one, notification_id=name), channel="slack", since=0.0, next_at=0.0
        )
        for name, one in (("n1", drift), ("n2", worse))
    ]
    async with Producer(settings) as producer, RedeliveredTable(settings) as view:
        await producer.send(UNDELIVERED, b"x", b"no json")
        await producer.send(UNDELIVERED, b"y", None)
        for letter in letters:
            await producer.send(UNDELIVERED, key_of(letter), msgspec.json.encode(undelivered_event(letter)))
        await view.catch_up()
        assert view.heard("default", "slack") == {}
        await producer.send(UNDELIVERED, key_of(letters[0]), None)
        await view.catch_up()
        assert view.heard("default", "slack") == {drift.fingerprint: drift.alert_id}
        assert view.heard("default", "email") == view.heard("other", "slack") == {}
    async with RedeliveredTable(settings) as view, Producer(settings) as producer:
        assert view.heard("default", "slack") == {drift.fingerprint: drift.alert_id}, "after a restart too"
        over = resolved(worse)
        again = [
            PendingNotification(
                notification=notification_of(one, notification_id=name), channel="slack", since=0.0, next_at=0.0
            )
            for name, one in (("n3", drift), ("n4", over))
        ]
        for letter in again:
            await producer.send(UNDELIVERED, key_of(letter), msgspec.json.encode(undelivered_event(letter)))
        await producer.send(UNDELIVERED, key_of(again[1]), None)
        await view.catch_up()
        assert view.heard("default", "slack") == {over.fingerprint: over.alert_id}, (
            "ends too; what was given up since is not"
        )
