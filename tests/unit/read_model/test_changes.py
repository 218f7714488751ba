"""What has changed since a caller was last here."""

from __future__ import annotations

import asyncio

from app.read_model.changes import Changes


async def test_who_was_away_is_told_what_has_changed_since_and_nothing_else() -> None:
    changes = Changes()
    changes.note(("model", "a", "1"))
    seen = changes.id_of(changes.number)
    changes.note(("model", "b", "1"), ("alerts",))
    changes.note(("model", "b", "1"))
    number = changes.number_of(seen)
    assert number is not None
    assert changes.since(number) == {("model", "b", "1"), ("alerts",)}
    assert changes.since(changes.number) == set()
    waiting = asyncio.create_task(changes.after(changes.number))
    await asyncio.sleep(0)
    assert not waiting.done()
    changes.note(("monitor",))
    await asyncio.wait_for(waiting, 5)


def test_the_id_of_another_process_or_of_the_future_does_not_hold() -> None:
    changes, others = Changes(), Changes()
    others.note(("monitor",))
    for wrong in (None, "", "nonsense", others.id_of(1), changes.id_of(1), f"{changes.id_of(0)}x"):
        assert changes.number_of(wrong) is None
    assert changes.number_of(changes.id_of(0)) == 0
