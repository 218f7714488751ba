"""A notification on its way through one channel: attempts, the waits between them, and when it is given up."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from app.alerting.notify.channel import Delivered, Outcome, Permanent
from app.alerting.notify.notification import Notification


class PendingNotification(Struct, frozen=True, kw_only=True):
    """A notification under way. Times are epoch seconds: `since` it was decided on, `next_at` it may be tried.

    `outcome` is what came of it; empty while it is tried. `detail`: the last attempt's words. `withdrawn`: why it is
    not to be sent any more.
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
    """How long each attempt may take, how long to go on trying, and the waits between, in seconds.

    The waits are drawn evenly from nothing to a bound that doubles (full jitter: Brooker, “Exponential Backoff And
    Jitter”, AWS 2015), so that many who fail together do not come back together.
    """

    attempt_seconds: float = 10.0
    budget_seconds: float = 3600.0
    first_wait: float = 2.0
    longest_wait: float = 300.0

    def bound(self, attempt: int) -> float:
        """The longest wait after an attempt (from 1)."""
        return min(self.longest_wait, self.first_wait * 2.0 ** min(attempt - 1, 64))


def after_attempt(
    pending: PendingNotification, outcome: Outcome, patience: RetryPolicy, now: float, rng: random.Random
) -> PendingNotification:
    """What an attempt makes of it: delivered, given up, or to be tried later; not before the channel asks to."""
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
