"""`driftline.check`: the decision on tables in memory is that on files, whatever library they are of."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

import driftline
from app.offline.check import check_files
from driftline import checking

NOT_SAID = {"checked_at", "reference", "current"}
NAME = "age <script>alert(1)</script>"


def table(seed: int, shift: float = 0.0, n: int = 900) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    probability = rng.random(n)
    visits = pd.Series(rng.integers(0, 9, n), dtype="Int64")
    visits[::7] = pd.NA
    return pd.DataFrame({
        NAME: rng.normal(40 + shift, 9, n), "visits": visits, "plan": rng.choice(["a", "b", "c"], n),
        "member": rng.random(n) < 0.5, "prediction": (probability > 0.5).astype(int), "probability": probability,
        "target": (rng.random(n) < probability).astype(int),
    })  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("frames")
    table(1).to_parquet(folder / "r.parquet", index=False)
    table(2, 9).to_parquet(folder / "c.parquet", index=False)
    return folder / "r.parquet", folder / "c.parquet"


def said(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in NOT_SAID}


class Interchange:
    """A table of which nothing is known but the interchange protocol."""

    def __init__(self, path: Path) -> None:
        self._table = pq.read_table(path)

    def __dataframe__(self, *args: Any, **more: Any) -> Any:
        return self._table.__dataframe__(*args, **more)


def test_every_kind_of_table_has_the_decision_of_its_file(files: tuple[Path, Path]) -> None:
    expected = said(json.loads(msgspec.json.encode(check_files(*files, now=datetime.now(UTC)).told())))
    assert (expected["verdict"], expected["drift"]["drifted_features"]) == ("drift", [NAME])
    reads: list[Callable[[Path], object]] = [str, Path, pd.read_parquet, pl.read_parquet, pq.read_table, Interchange]
    for read in reads:
        found = driftline.check(read(files[0]), read(files[1]))
        assert said(found.to_dict()) == expected, read
        assert (found.drifted, found.verdict) == (True, "drift")


def test_the_tables_of_the_caller_stay_as_they_are() -> None:
    reference = table(1).rename(columns={"plan": 7}).set_index("visits", drop=False)
    before = reference.copy()
    found = driftline.check(reference, reference)
    pd.testing.assert_frame_equal(reference, before)
    assert found.drifted is False
    assert {one["name"] for one in found.to_dict()["drift"]["features"]} == {NAME, "visits", "7", "member"}


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_a_notebook_shows_the_page_apart_and_names_are_texts(files: tuple[Path, Path], tmp_path: Path) -> None:
    found = driftline.check(*files)
    page = found.report(tmp_path / "x.html").read_text("utf-8")
    shown: str = found._repr_html_()  # type: ignore[attr-defined]  # what notebooks call
    ((tag, attributes),) = Tags(shown).found
    assert (tag, attributes["srcdoc"]) == ("iframe", page)
    assert attributes["sandbox"] is None  # nothing in it is run
    assert "script" not in {name for name, _ in Tags(page).found}
    assert "1 of 4 features have drifted" in page
    assert "Performance" in page
    assert "Profile of the reference" not in page
    assert repr(found).startswith("CheckResult: drift\n")


def test_the_figure_has_the_columns_that_have_drifted_or_differ_most(files: tuple[Path, Path]) -> None:
    drawn = [axes.get_title() for axes in driftline.check(*files).figure().axes]
    assert drawn == [f"{NAME[:40]} (drifted)"]
    same = driftline.check(files[0], files[0]).figure()
    assert len(same.axes) == 6
    same.canvas.draw()


def test_too_few_rows_are_no_decision() -> None:
    found = driftline.check(table(1), table(2, n=100))
    assert (found.drifted, found.verdict, len(found.warnings)) == (None, "no decision", 1)
    assert "too few to judge" in repr(found)


@pytest.mark.parametrize(
    ("reference", "config", "words"),
    [
        (table(1), {"alerting": {"channels": ["slak"]}}, "no channel 'slak'; did you mean slack"),
        (table(1), {"columns": {"target": "traget"}}, "no column 'traget'.*did you mean target"),
        (table(1), 5, "config: must be a dictionary or a file's path, not int"),
        ([[1]], None, r"reference: must be a table \(pandas, polars, Arrow\) or a file's path, not list"),
        (table(1).iloc[:0], None, "reference: the table has no rows"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), None, "reference: column 'a' stands there twice"),
    ],
)
def test_what_is_wrong_is_one_line(reference: Any, config: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        driftline.check(reference, table(2), config)
    assert "\n" not in str(error.value)


def test_the_rules_of_the_configuration_hold() -> None:
    off = {rule: {"enabled": False} for rule in ("data_drift", "feature_drift", "prediction_drift")}
    tables = table(1), table(2, 9)
    assert driftline.check(*tables).drifted
    assert driftline.check(*tables, {"alerting": off, "drift": {"numerical_effect": 0.99}}).drifted is False


def test_without_the_server_s_packages_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "HOME", "no_such_package.offline")
    with pytest.raises(ImportError, match=r"needs no_such_package: install driftline-server"):
        driftline.check(table(1), table(2))
    theirs = types.ModuleType("app")
    theirs.__file__ = "/home/me/app/__init__.py"
    for name in [name for name in sys.modules if name == "app" or name.startswith("app.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "app", theirs)
    monkeypatch.setattr(checking, "HOME", "app.offline.frames")
    with pytest.raises(ImportError, match=r"a package `app` of yours \(/home/me/app/__init__\.py\) stands before"):
        driftline.check(table(1), table(2))
