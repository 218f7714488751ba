"""Times of messages in a zone, beside UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from app.alerting.rendering.times import in_zone

ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Australia/Lord_Howe", "Etc/GMT+12"]


def test_a_day_that_is_another_is_said() -> None:
    zone = ZoneInfo("Asia/Kolkata")
    assert in_zone("From 2026-06-01 22:30 UTC on", zone) == "From 2026-06-02 04:00 IST (2026-06-01 22:30 UTC) on"
    assert in_zone("at 2026-06-01 02:00:07 UTC.", zone) == "at 2026-06-01 07:30:07 IST (02:00:07 UTC)."


def test_both_hours_of_a_night_that_has_one_twice_are_told_apart() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    said = in_zone("2026-10-25 00:30 UTC to 2026-10-25 01:30 UTC", berlin)
    assert said == "2026-10-25 02:30 CEST (00:30 UTC) to 2026-10-25 02:30 CET (01:30 UTC)"


@given(st.integers(0, 4_070_000_000), st.sampled_from(ZONES))
def test_what_the_wording_says_is_the_moment_in_the_zone(epoch: int, name: str) -> None:
    at, there = datetime.fromtimestamp(epoch, UTC), datetime.fromtimestamp(epoch, ZoneInfo(name))
    assert f"{there:%Y-%m-%d %H:%M}" in in_zone(f"{at:%Y-%m-%d %H:%M} UTC", ZoneInfo(name))


@given(st.text())
def test_other_words_stay(text: str) -> None:
    assert in_zone(text, None) == text
    if "UTC" not in text:
        assert in_zone(text, ZoneInfo("Europe/Berlin")) == text


def test_what_only_looks_like_a_time_stays() -> None:
    assert in_zone("2026-13-41 99:99 UTC", ZoneInfo("Europe/Berlin")) == "2026-13-41 99:99 UTC"
    assert in_zone("0001-01-01 00:00 UTC", ZoneInfo("America/New_York")) == "0001-01-01 00:00 UTC"
