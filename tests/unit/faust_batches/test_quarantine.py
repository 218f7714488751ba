"""The quarantine: which record is to blame, over many deaths of the worker."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from aiokafka.errors import KafkaConnectionError
from faust.types import TP
from hypothesis import given, settings
from hypothesis import strategies as st

from app.faust_batches.quarantine import FATAL_TIMES, Quarantine, Quarantined

PARTITION = TP("predictions", 3)


@dataclass(frozen=True)
class Sent:
    """A record as it came."""

    offset: int
    timestamp: int = 0
    key: bytes | None = b"key"
    value: bytes | None = b"value"
    headers: tuple[tuple[str, bytes], ...] = ()


def live(path: Path, sizes: list[int], records: int, poison: set[int]) -> list[int] | None:
    """One life of a worker that reads all from the start; answers the quarantined offsets, or None when it died."""
    quarantine = Quarantine(path)
    log = [Sent(offset) for offset in range(records)]
    quarantined: list[int] = []
    at, turn = 0, 0
    while at < records:
        run = log[at : at + sizes[turn % len(sizes)]]
        for part in quarantine.parts(PARTITION, run):
            if any(isinstance(record, Sent) and record.offset in poison for record in part):
                quarantine.failed(PARTITION, part, ValueError("poison"))
                return None
            quarantined += [record.offset for record in part if isinstance(record, Quarantined)]
        at, turn = at + len(run), turn + 1
    return quarantined


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    poison=st.sets(st.integers(0, 199), min_size=1, max_size=4),
)
def test_only_the_poison_is_quarantined_after_a_bounded_number_of_deaths(sizes: list[int], poison: set[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quarantine.json"
        deaths = 0
        while (found := live(path, sizes, 200, poison)) is None:
            deaths += 1
            assert deaths <= (FATAL_TIMES + 1) * len(poison)
    assert set(found) == poison


def test_a_record_is_not_to_blame_for_the_broker(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "q.json")
    for _ in range(10):
        quarantine.failed(PARTITION, [Sent(7)], KafkaConnectionError("away"))
        quarantine.failed(PARTITION, [Sent(7)], OSError("disk full"))
    assert list(quarantine.parts(PARTITION, [Sent(7)])) == [[Sent(7)]]


def test_accidents_in_different_places_convict_nobody(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "q.json")
    for offset in range(20):
        quarantine.failed(PARTITION, [Sent(offset)], ValueError("once"))
    run = [Sent(offset) for offset in range(20)]
    assert list(quarantine.parts(PARTITION, run)) == [run]


def test_a_tick_stays_a_tick(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "q.json")
    for _ in range(3):
        quarantine.failed(PARTITION, [Sent(7)], ValueError("poison"))
    assert list(quarantine.parts(PARTITION, [])) == [[]]


def test_a_stand_in_keeps_all_but_the_value(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "q.json")
    for _ in range(3):
        quarantine.failed(PARTITION, [Sent(7)], ValueError("poison"))
    ((stand_in,),) = Quarantine(tmp_path / "q.json").parts(PARTITION, [Sent(7)])
    assert isinstance(stand_in, Quarantined)
    assert stand_in.original == Sent(7)
    assert (stand_in.key, stand_in.offset) == (b"key", 7)
    assert "ValueError: poison" in stand_in.reason


def test_an_unreadable_file_is_left_aside(tmp_path: Path) -> None:
    path = tmp_path / "q.json"
    path.write_bytes(b"{")
    assert list(Quarantine(path).parts(PARTITION, [Sent(1)])) == [[Sent(1)]]
