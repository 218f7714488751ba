"""Retries of a notification on one channel: attempts, the waits between them, and the moment to give up."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from app.alerting.notify.channel import Delivered, Outcome, Permanent
from app.alerting.notify.notification import Notification


class PendingNotification(Struct, frozen=True, kw_only=True):
    """A notification under way. Times are epoch seconds: `since` when it was decided, `next_at` when the next attempt
    is due.

    `outcome` is the final result; empty during the attempts. `detail`: text of the last attempt. `withdrawn`: the
    reason why the notification is no longer to be sent.
    """

    notification: Notification
    channel: str
    since: float
    next_at: float
    attempts: int = 0
    outcome: Literal["", "delivered", "failed"] = ""
    detail: str = ""
    settled_at: float = 0.0
    withdrawn: str = ""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits for one attempt, for all attempts, and for the waits between attempts, in seconds.

    Each wait is drawn uniformly between zero and a bound that doubles (full jitter: Brooker, “Exponential Backoff And
    Jitter”, AWS 2015). So many notifications that fail together are not retried together.
    """

    attempt_seconds: float = 10.0
    budget_seconds: float = 3600.0
    first_wait: float = 2.0
    longest_wait: float = 300.0

    def bound(self, attempt: int) -> float:
        """Return the longest wait after an attempt, in seconds. Attempts count from 1."""
        return min(self.longest_wait, self.first_wait * 2.0 ** min(attempt - 1, 64))


def after_attempt(
    pending: PendingNotification, outcome: Outcome, patience: RetryPolicy, now: float, rng: random.Random
) -> PendingNotification:
    """Return the notification after an attempt: delivered, given up, or due later.

    The next attempt is not before the time that the channel asks for.
    """
    tried = replace(pending, attempts=pending.attempts + 1)
    if isinstance(outcome, Delivered):
        return replace(tried, outcome="delivered", detail=outcome.detail, settled_at=now)
    if isinstance(outcome, Permanent):
        return replace(tried, outcome="failed", detail=outcome.reason, settled_at=now)
    if pending.withdrawn:
        return replace(tried, outcome="failed", detail=pending.withdrawn, settled_at=now)
    wait = rng.uniform(0.0, patience.bound(tried.attempts))
    next_at = now + max(wait, outcome.after or 0.0)
    if next_at > pending.since + patience.budget_seconds:
        return replace(tried, outcome="failed", detail=outcome.reason, settled_at=now)
    return replace(tried, detail=outcome.reason, next_at=next_at)
