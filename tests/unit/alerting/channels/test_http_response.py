"""HTTP answers as outcomes, and secrets kept out of what is quoted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.alerting.channels.http_response import LONGEST_WAIT, http_outcome, quote, seconds_of, secrets_of
from app.alerting.notify.channel import Delivered, Permanent, Retryable

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@given(st.integers(0, 10**8))
def test_retry_after_in_seconds(seconds: int) -> None:
    assert seconds_of(f" {seconds} ", NOW) == min(seconds, LONGEST_WAIT)


@given(st.integers(-(10**6), 10**6))
def test_retry_after_as_a_date_is_never_in_the_past(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert seconds_of(date, NOW) == min(max(seconds, 0), LONGEST_WAIT)


@pytest.mark.parametrize(
    "text", [None, "", "soon", "-1", "nan", "1e9", "inf", "٣", "Mon, 99 Foo 2026 00:00:00 GMT", "9" * 40]
)
def test_a_retry_after_that_cannot_be_read_is_none(text: str | None) -> None:
    assert seconds_of(text, NOW) is None


@given(st.integers(100, 599), st.text(max_size=20).map(lambda text: text * 20))
def test_every_status_has_its_outcome(status: int, body: str) -> None:
    outcome = http_outcome(status, "7", body, advice="look there", secrets=(), now=NOW)
    if 200 <= status < 300:
        assert outcome == Delivered(f"HTTP {status}")
    elif status >= 500 or status in (408, 425, 429):
        assert isinstance(outcome, Retryable)
        assert outcome.after == 7
    else:
        assert isinstance(outcome, Permanent)
        assert outcome.reason.endswith("look there")
        assert "\n" not in outcome.reason


def test_no_part_of_a_url_that_is_a_secret_is_quoted() -> None:
    url = "https://drift:pass-of-drift@hooks.example.org:8443/services/T0/B0/XsecretX1?key=YsecretY2"
    said = f"no {url} nor /services/T0/B0/XsecretX1?key=YsecretY2 nor XsecretX1, YsecretY2, pass-of-drift"
    found = quote(said, secrets_of(url))
    assert not [part for part in ("XsecretX1", "YsecretY2", "pass-of-drift", "T0/B0") if part in found]
    assert "no" in found
