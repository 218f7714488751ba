"""Questions to the history end in time, and with whoever asked; few are worked at together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import Request
from sqlalchemy import Connection, text

from api.history_reader import AT_ONCE, HistoryReader
from app.history import History, HistoryTimeout
from app.history.database import WAL_BYTES
from app.history.deadline import Deadline
from app.history.retention import Limits, retain
from tests.support.history_stream import Stream, prediction
from topics import registry

ENDLESS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
    "postgresql": "SELECT pg_sleep(3600)",
}


def endless(connection: Connection) -> object:
    return connection.execute(text(ENDLESS[connection.dialect.name])).scalar()


def one(connection: Connection) -> object:
    return connection.execute(text("SELECT 1")).scalar()


def ask(history: History, deadline: Deadline | None, question: Callable[[Connection], object]) -> object:
    with history.reading(deadline) as connection:
        return question(connection)


class Caller(Request):
    """Somebody who asks, until `leave`."""

    def __init__(self) -> None:
        self._left = asyncio.Event()
        super().__init__({"type": "http"}, self._come)

    async def _come(self) -> dict[str, str]:
        await self._left.wait()
        return {"type": "http.disconnect"}

    def leave(self) -> None:
        self._left.set()


@pytest.fixture
def reader(history: History) -> Iterator[HistoryReader]:
    found = HistoryReader(history, 3600.0)
    yield found
    found.close()


def test_a_question_that_takes_too_long_says_what_to_do_and_harms_no_other(history: History) -> None:
    for _ in range(3):  # the connection goes back to its pool, and is used again
        with pytest.raises(HistoryTimeout, match=r"within 0.05 s: ask for less.*`since`"):
            ask(history, Deadline(0.05), endless)
        assert ask(history, None, one) == 1


def test_a_question_ends_when_it_is_cancelled(history: History) -> None:
    deadline, ended = Deadline(3600), threading.Event()

    def cancel() -> None:
        while not ended.wait(0.01):
            deadline.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(HistoryTimeout):
        ask(history, deadline, endless)
    ended.set()
    canceller.join()
    with pytest.raises(HistoryTimeout):
        ask(history, deadline, endless)
    assert ask(history, Deadline(3600), one) == 1


async def test_those_who_have_gone_make_room_for_those_who_wait(reader: HistoryReader) -> None:
    callers = [Caller() for _ in range(AT_ONCE)]
    asked = [asyncio.create_task(reader.ask(caller, endless)) for caller in callers]
    waiting = asyncio.create_task(reader.ask(Caller(), one))  # tasks begin in the order in which they are made
    await asyncio.sleep(0.1)
    assert not waiting.done()
    callers[0].leave()
    assert await waiting == 1
    with pytest.raises(HistoryTimeout):
        await asked[0]
    assert not asked[1].done()
    callers[1].leave()
    with pytest.raises(HistoryTimeout):
        await asked[1]


async def test_who_gets_no_turn_in_time_is_told_that_the_history_is_busy(history: History) -> None:
    reader = HistoryReader(history, 0.3)
    first = [asyncio.create_task(reader.ask(Caller(), endless)) for _ in range(AT_ONCE)]
    late = [asyncio.create_task(reader.ask(Caller(), endless)) for _ in range(2)]
    ends = await asyncio.gather(*first, *late, return_exceptions=True)
    assert [type(end) for end in ends] == [HistoryTimeout] * 4
    assert await reader.ask(Caller(), one) == 1
    reader.close()


def test_sqlite_s_log_of_writes_is_cut_when_a_reader_that_needs_it_has_gone(tmp_path: Path) -> None:
    history = History(tmp_path / "history.db")
    history.prepare()
    stream = Stream(history)
    with history.reading() as connection:
        one(connection)
        for batch in range(20):
            note = {"note": "y" * 40_000}
            stream.write(registry.PREDICTIONS, *(prediction(f"{batch}-{i}", metadata=note) for i in range(100)))
        assert history.wal_bytes > WAL_BYTES
    stream.write(registry.PREDICTIONS, prediction("restarts the log"), prediction("and cuts it"))
    stream.write(registry.PREDICTIONS, prediction("another"))
    assert history.wal_bytes <= WAL_BYTES
    assert retain(history, Limits(36_500, 10_000)) == 0
    assert history.wal_bytes == 0
    history.close()
