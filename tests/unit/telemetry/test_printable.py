"""Text of others moves no cursor, makes no line, and turns no text around, in logs and on terminals."""

from __future__ import annotations

import io
import json
import logging

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from app.commands.options import print_table
from app.telemetry.logs import formatter_of
from app.telemetry.printable import CONTROLS, Escaping, one_line, printable

NASTY = "a\x1b[2J\x1b]0;title\x07\r\n2026-01-01 ERROR forged\x9b31m\u202egnp\x7f\ud800"


def test_a_log_line_stays_one_line_without_controls() -> None:
    record = logging.LogRecord("api", logging.WARNING, "", 1, "from %s", (NASTY,), None)
    for form in ("text", "json"):
        line = formatter_of(form).format(record)
        assert not CONTROLS.search(line), line
        assert "\n" not in line
        assert "forged" in line


def test_a_table_and_a_print_show_escapes(capsys: object) -> None:
    stream = io.StringIO()
    escaping = Escaping(stream)
    print(f"model {NASTY}", file=escaping)
    assert not CONTROLS.search(stream.getvalue())
    assert "\\u001b[2J" in stream.getvalue()


def test_rich_draws_as_before() -> None:
    stream = io.StringIO()
    Console(file=Escaping(stream), force_terminal=True).print("[red]x[/red]")  # type: ignore[arg-type]  # as above
    assert "\x1b[31m" in stream.getvalue()


def test_json_stays_the_same_json() -> None:
    text = json.dumps({"a": NASTY}, ensure_ascii=False)
    assert json.loads(printable(text)) == {"a": NASTY}


@given(st.text())
def test_nothing_but_controls_is_changed(text: str) -> None:
    assert not CONTROLS.search(printable(text))
    if not CONTROLS.search(text):
        assert printable(text) == text
    assert one_line(text).count("\n") == 0


def test_cells_of_tables_are_of_one_line(capsys: object) -> None:
    print_table(("name",), [(NASTY,)])
    told = capsys.readouterr().out  # type: ignore[attr-defined]  # pytest's fixture
    assert not CONTROLS.search(told)
    assert len(told.splitlines()) == 2
