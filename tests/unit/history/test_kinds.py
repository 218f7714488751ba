"""One entry for each kind of history: its command, its route and their documents are made of it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from typer.main import get_command

from api.auth.permissions import is_about_all, needed
from api.export import openapi_json
from app.cli import app
from app.history.columns import Column, cells
from app.history.kinds import HISTORY_KINDS, HistoryKind

IDS = [kind.name for kind in HISTORY_KINDS]


@pytest.fixture(scope="module")
def openapi() -> Any:
    return json.loads(openapi_json())


@pytest.mark.parametrize("kind", HISTORY_KINDS, ids=IDS)
def test_a_command_and_a_route_take_every_filter_in_the_same_words(kind: HistoryKind, openapi: Any) -> None:
    group: Any = get_command(app)
    options = {one.name: one for one in group.commands["history"].commands[kind.name].params}
    operation = openapi["paths"][f"/history/{kind.name}"]["get"]
    parameters = {one["name"]: one for one in operation["parameters"]}
    assert set(parameters) == {one.name for one in kind.options()} | {"cursor"}
    for one in kind.options():
        assert parameters[one.name]["description"] == one.words.help
        assert parameters[one.name]["schema"].get("default") == one.default
        if one.name in ("model", "model_version") and not kind.of_models:
            assert one.name not in options
            continue
        assert options[one.name].help.lower().removeprefix("with --json: ") == f"{one.words.help.lower()}."
        assert options[one.name].default == one.default
        assert set(one.words.flags) <= {"/".join([*options[one.name].opts, *options[one.name].secondary_opts])}


@pytest.mark.parametrize("kind", HISTORY_KINDS, ids=IDS)
def test_its_response_is_a_list_of_its_rows_for_its_role(kind: HistoryKind, openapi: Any) -> None:
    operation = openapi["paths"][f"/history/{kind.name}"]["get"]
    assert operation["operationId"] == f"list_{kind.singular}_history"
    schema = openapi["components"]["schemas"][f"{kind.singular.title()}History"]
    assert schema["properties"][kind.name]["items"] == {"$ref": f"#/components/schemas/{kind.row.__name__}"}
    assert schema["description"] == kind.description
    assert needed("GET", f"/history/{kind.name}") == kind.role
    assert is_about_all(f"/history/{kind.name}") != kind.of_models


@pytest.mark.parametrize("kind", HISTORY_KINDS, ids=IDS)
def test_its_columns_and_its_order_are_of_fields_of_its_row(kind: HistoryKind) -> None:
    fields = set(kind.row.__struct_fields__)
    assert {one for one in kind.columns.values() if isinstance(one, str)} <= fields
    assert set(kind.order.fields) <= fields


def test_a_value_is_printed_by_its_type() -> None:
    columns: dict[str, Column] = {"a": "a", "b": "b", "c": "c", "d": "d", "of both": lambda row: row.a + row.b}
    row = SimpleNamespace(a=1234, b=0.123456, c=None, d=["x", "y"])
    assert cells(columns, row) == ("1,234", "0.1235", "", "x, y", "1234")
