"""A topic as a table: the newest value of each key, and what is no value of it."""

from __future__ import annotations

import logging

import msgspec
import pytest

from app.kafka.global_table import GlobalTable
from app.settings.settings import load_settings
from topics.registry import VERSIONS

Key = tuple[str, str]


class Row(msgspec.Struct, frozen=True):
    model: str
    version: str
    n: int


class Table(GlobalTable[Key, Row]):
    def __init__(self) -> None:
        super().__init__(load_settings(), VERSIONS, Row, key=lambda row: (row.model, row.version))
        self.updates: list[tuple[Key, int | None, int]] = []

    def on_update(self, key: Key, offset: int) -> None:
        found = self._rows.get(key)
        self.updates.append((key, None if found is None else found.n, offset))


def test_a_table_has_the_newest_value_of_each_key_and_says_what_has_changed(caplog: pytest.LogCaptureFixture) -> None:
    table = Table()
    records = [
        (b"a/1", Row("a", "1", 1)), (b"b/c/2", Row("b/c", "2", 2)), (b"a/1", Row("a", "1", 3)), (b"unknown", None),
        (b"b/c/2", None), (b"\xff", None), (None, None), (b"a/1", "no row"),
    ]  # fmt: skip
    with caplog.at_level(logging.ERROR):
        for offset, (key, value) in enumerate(records):
            table._take(key, None if value is None else msgspec.json.encode(value), offset)
    assert table.updates == [(("a", "1"), 1, 0), (("b/c", "2"), 2, 1), (("a", "1"), 3, 2), (("b/c", "2"), None, 4)]
    assert (list(table), table.revision) == ([("a", "1")], 4)
    assert caplog.text.count("versions partition 0 offset 7 is left out, it is no VersionEvent") == 1
