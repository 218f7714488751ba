"""Retries: waits that grow and scatter, what the channel asks for, and the budget."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from app.alerting.notify.channel import Delivered, Permanent, Retryable
from app.alerting.notify.retry_policy import PendingNotification, RetryPolicy, after_attempt
from tests.support.alert_events import alert_event, notification_of

PATIENCE = RetryPolicy(first_wait=1.0, longest_wait=60.0, budget_seconds=3600.0)
NEW = PendingNotification(notification=notification_of(alert_event()), channel="slack", since=1000.0, next_at=1000.0)


def test_a_delivery_is_over_with_the_channels_words() -> None:
    done = after_attempt(NEW, Delivered("200"), PATIENCE, 1001.0, random.Random(1))
    assert (done.outcome, done.attempts, done.detail, done.settled_at) == ("delivered", 1, "200", 1001.0)


def test_what_never_works_is_given_up_at_once() -> None:
    done = after_attempt(NEW, Permanent("no such address"), PATIENCE, 1001.0, random.Random(1))
    assert (done.outcome, done.attempts, done.detail) == ("failed", 1, "no such address")


def test_the_same_seed_waits_the_same() -> None:
    waits = [after_attempt(NEW, Retryable("busy"), PATIENCE, 1001.0, random.Random(7)).next_at for _ in range(2)]
    assert waits[0] == waits[1]


@given(st.integers(0, 5000), st.floats(0, 30), st.randoms(use_true_random=False))
def test_a_wait_is_within_its_bound_and_never_shorter_than_asked(
    attempts: int, asked: float, rng: random.Random
) -> None:
    pending = PendingNotification(
        notification=NEW.notification, channel="a", since=1000.0, next_at=0.0, attempts=attempts
    )
    next_at = after_attempt(pending, Retryable("busy", after=asked), PATIENCE, 1000.0, rng).next_at
    assert 1000 + asked <= next_at <= 1000 + max(asked, min(60.0, 2.0 ** min(attempts, 10)))


def test_the_bounds_double_up_to_the_longest() -> None:
    assert [PATIENCE.bound(attempt) for attempt in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]


@given(st.integers(0, 2**32), st.floats(0.0, 10.0))
def test_it_goes_on_to_the_end_of_the_budget_and_no_further(seed: int, takes: float) -> None:
    rng, pending, now = random.Random(seed), NEW, 1000.0
    while not pending.outcome:
        now = max(now, pending.next_at) + takes
        pending = after_attempt(pending, Retryable("busy"), PATIENCE, now, rng)
    assert pending.outcome == "failed"
    assert now <= NEW.since + PATIENCE.budget_seconds + takes
    assert now >= NEW.since + PATIENCE.budget_seconds - PATIENCE.longest_wait
    assert pending.attempts >= PATIENCE.budget_seconds / (PATIENCE.longest_wait + takes)


def test_a_channel_that_asks_for_more_than_is_left_is_given_up() -> None:
    assert after_attempt(NEW, Retryable("busy", after=3601), PATIENCE, 1000.0, random.Random(1)).outcome == "failed"
    assert after_attempt(NEW, Retryable("busy", after=3600), PATIENCE, 1000.0, random.Random(1)).outcome == ""
