"""Dead letters as they are read, chosen, mended, and checked before they are sent again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.output import dead_letter
from app.commands.dead_letters.mending import mended
from app.commands.dead_letters.reader import LetterFilter
from app.commands.dead_letters.resend import NOT_MENDED, ReadyLetter, _partition, _ready
from app.commands.dead_letters.resend_checks import AHEAD, LATE, SUPERSEDED, UNREGISTERED, Counting, _reached
from app.commands.options import CommandError
from app.core.config.monitoring import Monitoring, Windows
from app.core.join.predictions import _placed
from app.core.join.state import CompiledModel, JoinState, PredictionBatch
from app.core.panes.grouping import by_group
from app.ingest.decoding import Rejected
from app.ingest.letters import Letter, letter_of, resent_header, resent_in
from app.ingest.rekeying import REKEYED
from app.settings.settings import load_settings
from tests.support.join_log import PROFILES
from tests.support.reports import StubRecord
from topics.events import PanePartial
from topics.partition import partitions_of

NOW = 1_800_000_000.0
SETTINGS = load_settings()
PREDICTIONS, FEEDBACK = "driftline.predictions", "driftline.feedback"
ALL = LetterFilter(None, None, None, None, None, None)


@dataclass
class Lying:
    """A record of `dead-letters`."""

    offset: int
    value: bytes | None
    key: bytes | None
    timestamp: int
    headers: Sequence[tuple[str, bytes | None]]


@dataclass
class Registered:
    """A registration, as far as it decides."""

    monitoring: Monitoring


class Models:
    """Model `shop` 3 is registered."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows

    def get(self, model: str, version: str) -> Registered | None:
        return Registered(Monitoring(windows=self._windows)) if (model, version) == ("shop", "3") else None


def counting(windows: Windows | None = None, **more: Any) -> Counting:
    return Counting(Models(windows or Windows()), 4, **more)  # type: ignore[arg-type]


def event(**changes: object) -> bytes:
    return msgspec.json.encode({
        "prediction_id": "a", "model": "shop", "model_version": "3", "timestamp": NOW, "features": {},
        "prediction": 1, **changes,
    })  # fmt: skip


def letter(value: bytes | None, key: bytes | None = b"a", topic: str = PREDICTIONS, **changes: Any) -> Letter:
    fields: dict[str, Any] = {
        "offset": 5, "at": datetime.fromtimestamp(NOW, UTC), "origin": (topic, 2, 40), "reason": "why: so", "key": key,
        "value": value, "headers": (),
    }  # fmt: skip
    return Letter(**fields | changes)


def ready(found: Letter) -> ReadyLetter:
    events = _ready(SETTINGS, found, found.value)
    assert not isinstance(events, str), events
    ((topic, one),) = events
    assert topic.full_name(SETTINGS.prefix) == found.topic
    return one


def test_a_dead_letter_is_read_as_it_was_written() -> None:
    headers = [
        ("driftline", b"heartbeat"),
        ("trace", b"\x00"),
        (REKEYED, b"1/7"),
    ]  # it was re-keyed before, and may be again
    record = StubRecord(40, b"\xff", b"k", 9, headers)
    sent = dead_letter(PREDICTIONS, 2, Rejected(record, "malformed: x"))
    back = letter_of(Lying(5, sent.value, sent.key, 1_000, sent.headers))
    assert back == Letter(
        offset=5, at=datetime.fromtimestamp(1, UTC), origin=(PREDICTIONS, 2, 40), reason="malformed: x", key=b"k",
        value=b"\xff", headers=(("driftline", b"heartbeat"), ("trace", b"\x00")), timestamp=9,
    )  # fmt: skip
    assert back.kind == "malformed"


@pytest.mark.parametrize("headers", [
    [], [("driftline-reason", b"\xff")], [("driftline-topic", b"x"), ("driftline-partition", b"?")], [("x", b"")],
    [("driftline-topic", b"x"), ("driftline-partition", b"1"), ("driftline-offset", b"")],
])  # fmt: skip
def test_whatever_lies_in_the_topic_is_shown(headers: list[tuple[str, bytes | None]]) -> None:
    found = letter_of(Lying(1, None, None, -1, headers))
    assert found is not None
    assert (found.origin, found.topic, found.version) == (None, "", None)
    assert found.reason


@given(st.lists(st.integers(0, 2**40), max_size=20))
def test_what_was_sent_again_is_noted(offsets: list[int]) -> None:
    note = Lying(9, None, b"driftline-resent", 0, [resent_header(offsets)])
    assert letter_of(note) is None
    assert resent_in(note) == sorted(offsets)
    assert resent_in(Lying(9, None, b"", 0, [("driftline-resent", b"no JSON")])) == []


def test_a_record_set_aside_twice_is_one_and_one_of_the_history_is_another() -> None:
    one, again = letter(event()), letter(event(), offset=6)
    history = letter(event(), offset=7, reason="history: `features` has a NUL character")
    assert one.identity == again.identity != history.identity
    assert (one.counted, history.counted) == (False, True)
    assert letter(event(), key=b"b").identity != one.identity  # the topic was made again, and its offsets


def test_letters_are_chosen_by_reason_model_time_topic_and_number() -> None:
    one = letter(event(), reason="late: older")
    at = one.at
    fits = [
        ALL, replace(ALL, reason="LATE"), replace(ALL, model="shop"), replace(ALL, model="shop", version="3"),
        replace(ALL, since=at), replace(ALL, until=at + timedelta(seconds=1)), replace(ALL, topic=PREDICTIONS),
        replace(ALL, id=5),
    ]  # fmt: skip
    other = [
        replace(ALL, reason="early"), replace(ALL, model="shops"), replace(ALL, version="4"), replace(ALL, until=at),
        replace(ALL, since=at + timedelta(seconds=1)), replace(ALL, topic=FEEDBACK), replace(ALL, id=6),
    ]  # fmt: skip
    assert all(wanted.has(one) for wanted in fits)
    assert not any(wanted.has(one) for wanted in other)
    assert ALL.everything
    assert not any(wanted.everything for wanted in (*fits[1:], *other))


def test_a_wrong_key_is_put_right_and_a_heartbeat_goes_to_its_partition() -> None:
    assert [ready(letter(event(), key)).key for key in (b"a", b"b", None)] == [b"a"] * 3
    beat = msgspec.json.encode({"model": "shop", "model_version": "3", "timestamp": NOW})
    one = ready(letter(beat, None, headers=(("driftline", b"heartbeat"),)))
    assert (one.key, _partition(one)) == (None, 2)
    assert _partition(ready(letter(event()))) is None


@pytest.mark.parametrize(("value", "words"), [
    (None, "the record has no value"), (b"{", "still not readable: malformed JSON"),
    (event(timestamp=NOW * 1000), "still not readable: `timestamp` is outside 1970 to 2100"),
    (event(prediction=[1]), "still not readable"), (b"[" * 30_000, "still not readable"),
])  # fmt: skip
def test_what_would_be_set_aside_again_is_not_sent(value: bytes | None, words: str) -> None:
    found = _ready(SETTINGS, letter(value), value)
    assert isinstance(found, str)
    assert words in found


def test_what_is_not_registered_or_ahead_is_not_sent() -> None:
    check = counting()
    assert check.obstacle(ready(letter(event(model_version="4"))), now=NOW, late=True) == UNREGISTERED
    assert check.obstacle(ready(letter(event(timestamp=NOW + 301))), now=NOW, late=False) == AHEAD
    assert check.obstacle(ready(letter(event(timestamp=NOW + 299))), now=NOW, late=False) == ""


@given(st.integers(0, 600), st.sampled_from([0.0, 60.0, 150.0]), st.integers(0, 59))
def test_what_is_left_out_as_late_is_what_the_join_takes_as_late(behind: int, lateness: float, offset: int) -> None:
    windows, newest = Windows(pane=60.0, lateness=lateness), NOW + offset
    state = JoinState([CompiledModel(PROFILES["binary"], windows)])
    state.tally(0).event_time = round(newest * 1e6)
    at = newest - behind
    batch = PredictionBatch(
        np.array([[1, 2]], np.uint64), np.zeros(1, np.int16), np.array([round(at * 1e6)], np.int64), {}
    )
    late = bool(_placed(state, batch, list(by_group(batch.model)))[1][0])
    partition = int(partitions_of([b"a"], 4)[0])
    check = counting(windows, reached={("shop", "3", partition): newest})
    found = check.obstacle(ready(letter(event(timestamp=at))), now=NOW + 1000, late=False)
    assert (found == LATE) == late
    assert check.obstacle(ready(letter(event(timestamp=at))), now=NOW + 1000, late=True) == ""


@given(st.lists(st.integers(-900, 300), min_size=1, max_size=5), st.sampled_from([10.0, 60.0, 900.0]))
def test_a_pane_says_of_no_time_that_the_join_has_not_come_to(ahead: list[int], pane: float) -> None:
    """A row may be up to `windows.ahead` ahead of the broker's time, which bounds what the join takes as late."""
    windows = Windows(pane=pane)
    state = JoinState([CompiledModel(PROFILES["binary"], windows)])
    times = np.array([round((NOW + by) * 1e6) for by in ahead], np.int64)
    ids = np.arange(2 * len(ahead), dtype=np.uint64).reshape(-1, 2)
    believed = np.minimum(times, round(NOW * 1e6))
    batch = PredictionBatch(ids, np.zeros(len(ahead), np.int16), times, {}, believed=believed)
    numbers, _ = _placed(state, batch, list(by_group(batch.model)))
    for number in numbers.tolist():
        partial = PanePartial(
            model="shop", model_version="3", profile_id="p", kind="input", pane_start=number * pane, partition=0,
            revision=1, n=1, indices=b"", counts=b"", sums=b"",
        )  # fmt: skip
        reached = _reached(partial, Models(windows))  # type: ignore[arg-type]
        assert reached is not None
        assert reached * 1e6 <= state.tally(0).event_time


@pytest.mark.parametrize(("newest", "superseded"), [
    (None, False), ((0, 2, 39), False), ((0, 2, 41), True),
    ((round(NOW * 1000) + 1, 3, 1), True), ((round(NOW * 1000) - 1, 3, 1), False),
])  # fmt: skip
def test_a_truth_that_a_later_one_has_replaced_is_not_sent(
    newest: tuple[int, int, int] | None, superseded: bool
) -> None:
    check = counting(newest={} if newest is None else {b"a": newest})
    one = ready(letter(msgspec.json.encode({"prediction_id": "a", "actual": 1}), topic=FEEDBACK))
    assert check.obstacle(one, now=NOW, late=False) == (SUPERSEDED if superseded else "")


def through(code: str) -> str:
    return f"{sys.executable} -c '{code}'"


def values(*given: bytes | None) -> Sequence[Letter]:
    return [letter(one) for one in given]


def test_a_program_mends_values_line_by_line_and_leaves_out_by_an_empty_one() -> None:
    upper = through("import sys; [print(line.strip().upper()) for line in sys.stdin]")
    assert mended(values(b"a", None, b"b\n c", b" "), upper) == [b"A", None, b"B  C", None]
    assert _ready(SETTINGS, letter(b"x"), None) == NOT_MENDED
    assert mended(values(None), upper) == [None]


@pytest.mark.parametrize("program", [
    through("print(1)"), through("import sys; sys.exit(3)"), "no-such-program-here", "'unclosed",
])  # fmt: skip
def test_a_program_that_does_not_do_its_work_sends_nothing(program: str) -> None:
    with pytest.raises(CommandError, match="--through"):
        mended(values(b"a", b"b"), program)
