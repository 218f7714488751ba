"""Dead letters of sources: records mapped again by the sources as they are declared now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from agents.output import dead_letter
from app.commands.dead_letters.reader import wanted_of
from app.commands.dead_letters.resend import Found, _headers, _mapped, _partition
from app.commands.dead_letters.resend_checks import SUPERSEDED, Counting
from app.commands.dead_letters.source_letters import LEFT_OUT, NO_TIME, SourceLetters
from app.commands.options import CommandError
from app.ingest.decoding import Rejected
from app.ingest.letters import Letter
from app.settings.settings import load_settings
from app.sources.hiding import SourceHiding
from app.sources.schema_registry import SchemaRegistry
from app.sources.source import EventSource
from tests.support.source_records import SourceRecord, declared
from topics.events import FeedbackEvent, Hidden, PredictionEvent
from topics.registry import FEEDBACK, PREDICTIONS, Topic

AT = 1_780_000_000.0


def letter(number: int, *, timestamp: int | None = 1_780_000_000_000, **document: Any) -> Letter:
    value = msgspec.json.encode(
        {"id": f"i{number}", "time": AT, "features": {"age": 31, "name": "lovelace"}, **document}
    )
    return Letter(
        offset=number, at=datetime.fromtimestamp(AT, UTC), origin=("scored", 7, 40), reason="id: nothing at key",
        key=b"theirs", value=value, headers=(("driftline", b"heartbeat"),), timestamp=timestamp,
    )  # fmt: skip


class Models:
    """A registration that drops a feature."""

    revision = 1

    def hidden_of(self, model: str, version: str) -> Hidden | None:
        return Hidden(redact=("name",), hash=(), key_check="")


def sources(*declarations: Any, hiding: SourceHiding | None = None) -> SourceLetters:
    return SourceLetters([EventSource(one, None) for one in declarations], hiding)


async def events(letters: list[Letter], found: SourceLetters) -> dict[int, Found | str]:
    return await _mapped(letters, [one.value for one in letters], found)


def sent(found: Found | str) -> list[tuple[Topic, Any]]:
    assert not isinstance(found, str), found
    return [*found]


async def test_a_letter_becomes_the_events_of_its_sources_as_declared_now() -> None:
    both = declared("both", prediction="label", where="kind != 'other'")
    other = declared(where="kind == 'other'", model={"constant": "shop"}).model_copy(update={"name": "second"})
    given = [letter(0, label=1, truth=0), letter(1, truth=0), letter(2, label=1, kind="other"), letter(3, label=1)]
    found = await events(given, sources(both, other, hiding=SourceHiding(Models(), None)))
    assert found[1] == "still does not map: prediction"
    prediction, feedback = sent(found[0])
    assert prediction[0] == PREDICTIONS
    assert prediction[1].event == PredictionEvent(
        prediction_id="i0", model="churn", model_version="7", timestamp=AT, features={"age": 31}, prediction=1
    )
    assert prediction[1].key == b"i0"
    assert b"lovelace" not in prediction[1].value
    assert feedback[0] == FEEDBACK
    assert feedback[1].event == FeedbackEvent(prediction_id="i0", actual=0, timestamp=AT, model="churn")
    assert [[(topic.name, one.event.model) for topic, one in sent(found[i])] for i in (2, 3)] == [
        [("predictions", "shop")], [("predictions", "churn")],
    ]  # fmt: skip
    assert (_headers(prediction[1]), _partition(prediction[1])) == ((), None), "theirs mean nothing in our topics"


async def test_a_letter_that_no_source_takes_is_left_out() -> None:
    kept = sources(declared(where="kind == 'other'"))
    assert await events([letter(0)], kept) == {0: LEFT_OUT}
    assert await events([letter(0)], sources(declared().model_copy(update={"topic": "another"}))) == {}
    assert (bool(kept), bool(sources()), "scored" in kept, "x" in kept) == (True, False, True, False)
    assert (kept.carries_feedback("scored"), sources(declared("both")).carries_feedback("scored")) == (False, True)


async def test_a_time_of_the_kafka_record_is_that_of_the_original() -> None:
    found = await events([letter(0), letter(1, timestamp=None)], sources(declared(time=None)))
    (prediction,) = sent(found[0])
    assert prediction[1].event.timestamp == AT
    assert found[1] == NO_TIME
    record = SourceRecord(3, b"{}", 1_700_000_000_123)
    out = dead_letter("scored", 7, Rejected(record, "id: nothing"))
    assert dict(out.headers)["driftline-timestamp"] == b"1700000000123"


async def test_the_keys_of_feedback_are_those_of_the_mended_values() -> None:
    found, program = sources(declared("feedback")), "sed s/i0/i1/"
    given = [letter(0, truth=1), letter(2), letter(3, truth=0)]
    assert await found.feedback_keys("scored", given, "") == {b"i0", b"i3"}
    assert await found.feedback_keys("scored", given, program) == {b"i1", b"i3"}
    assert await sources(declared()).feedback_keys("scored", given, "") == set()


async def test_a_registry_that_cannot_be_reached_ends_the_command() -> None:
    async with SchemaRegistry("http://127.0.0.1:1") as registry:
        source = EventSource(declared(form="avro"), registry)
        avro = replace(letter(0), value=b"\0\0\0\0\1x")
        with pytest.raises(CommandError, match=r"^schema registry http://127.0.0.1:1: "):
            await events([avro], SourceLetters([source], None))
        assert not SourceLetters([source], None).is_of_text("scored")


async def test_a_truth_is_replaced_by_one_that_came_later_in_any_partition() -> None:
    """The letter's partition and offset are of the source's topic: they say nothing of `feedback`."""
    found = await events([letter(0, truth=1)], sources(declared("feedback")))
    ((_, one),) = sent(found[0])
    for recorded, reason in ((AT * 1000 + 1, SUPERSEDED), (AT * 1000 - 1, "")):
        check = Counting(Models(), 4, newest={b"i0": (round(recorded), 7, 41)})  # type: ignore[arg-type]
        assert check.obstacle(one, now=AT, late=False) == reason


def test_letters_are_chosen_by_the_names_of_topics_of_others() -> None:
    settings = load_settings()
    for given, full in {
        "feedback": "driftline.feedback", "driftline.feedback": "driftline.feedback", "scored": "scored",
        "driftline.scored": "driftline.scored",
    }.items():  # fmt: skip
        assert wanted_of(settings, None, None, None, given, None, None).topic == full
