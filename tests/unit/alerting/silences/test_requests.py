"""A silence that is asked for is checked, and says what is wrong with it."""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec
import pytest

from app.alerting.notify.muting import quiet_of
from app.alerting.silences.requests import SilenceError, SilenceRequest, expired, silence_of, state_of
from app.commands.alerts.silence import seconds_of
from app.commands.options import CommandError
from tests.support.alert_events import DAY
from topics.events import Hours

HOUR = timedelta(hours=1)
ASKED = SilenceRequest(matchers=("model=churn",), comment="retraining", created_by="ada", seconds=3600)
HOURS = Hours(weekdays=("mon-fri",), start="22:00", end="06:00", zone="Europe/Berlin")


def test_it_begins_now_and_lasts_as_long_as_is_asked() -> None:
    silence = silence_of(ASKED, DAY)
    assert (silence.starts_at, silence.ends_at, silence.matchers) == (DAY, DAY + HOUR, ('model="churn"',))
    assert [state_of(silence, DAY + n * HOUR) for n in (-1, 0, 1)] == ["pending", "active", "expired"]
    assert quiet_of(silence).mutes({"model": "churn"}, DAY)
    assert silence_of(ASKED, DAY).silence_id != silence.silence_id


def test_hours_of_the_week_need_neither_end_nor_matchers() -> None:
    asked = msgspec.structs.replace(ASKED, matchers=(), seconds=None, hours=HOURS)
    assert silence_of(asked, DAY).ends_at is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"matchers": ()}, "matchers: name at least one"),
        ({"matchers": ("modle=a",)}, "matchers: there is no label 'modle'; did you mean model?"),
        ({"matchers": ("model=a",) * 21}, "matchers: at most 20"),
        ({"comment": " "}, "comment: must have"),
        ({"created_by": ""}, "created_by: must have"),
        ({"seconds": None}, "ends_at: missing"),
        ({"ends_at": DAY + HOUR}, "seconds: give either"),
        ({"seconds": -5}, "ends_at: must be after starts_at"),
        ({"seconds": 1e300}, "seconds: 1e+300 is no length of time"),
        ({"seconds": None, "starts_at": DAY - 2 * HOUR, "ends_at": DAY - HOUR}, "ends_at: is over already"),
        ({"seconds": None, "ends_at": DAY.replace(tzinfo=None)}, "ends_at: has no time zone"),
        ({"hours": msgspec.structs.replace(HOURS, zone="Europe/Berln")}, "did you mean Europe/Berlin?"),
        ({"hours": msgspec.structs.replace(HOURS, weekdays=("day",))}, "hours.weekdays: 'day'"),
        ({"hours": msgspec.structs.replace(HOURS, end="26:00")}, "hours.end: '26:00'"),
    ],
)
def test_what_cannot_be_names_its_field(changes: dict[str, object], words: str) -> None:
    with pytest.raises(SilenceError, match=re.escape(words)):
        silence_of(msgspec.structs.replace(ASKED, **changes), DAY)


def test_an_end_is_now_and_once() -> None:
    silence = silence_of(ASKED, DAY)
    over = expired(silence, DAY + HOUR / 2)
    assert over.ends_at == DAY + HOUR / 2
    assert expired(over, DAY + HOUR) is over
    later = silence_of(msgspec.structs.replace(ASKED, starts_at=DAY + HOUR), DAY)
    assert state_of(expired(later, DAY), DAY) == "expired"


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("2h", 7200), ("1d12h", 129_600), ("1.5h", 5400)])
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "2 hours", "2h x"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(CommandError, match="write it as 30m"):
        seconds_of(text)
