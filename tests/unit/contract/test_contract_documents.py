"""The documents of the contract as other people's generators and validators want them."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from api.export import openapi_json
from api.openapi.operation_names import TAGS, operation_id, tag
from tests.support.paths import DOCS

ASYNCAPI = Path(__file__).with_name("asyncapi-3.0.0.json")
"""The AsyncAPI Initiative's JSON Schema of version 3.0.0 (Apache-2.0), as its package of specifications has it."""


@pytest.fixture(scope="module")
def openapi() -> Any:
    return json.loads(openapi_json())


def operations(document: Any) -> list[tuple[str, str, Any]]:
    return [(method, path, one) for path, found in document["paths"].items() for method, one in found.items()]


def test_operations_have_names_for_people_and_tags_that_are_described(openapi: Any) -> None:
    found = operations(openapi)
    names = [one["operationId"] for _, _, one in found]
    assert len(set(names)) == len(names) > 30
    for method, path, one in found:
        assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", one["operationId"]), one["operationId"]
        assert len(one["operationId"]) <= 40
        assert (one["operationId"], one["tags"]) == (operation_id(method, path), [tag(path)])
    assert {name for _, _, one in found for name in one["tags"]} == set(TAGS)
    assert {one["name"]: one["description"] for one in openapi["tags"]} == TAGS


def test_an_operation_without_a_name_of_its_own_is_called_after_its_path() -> None:
    assert operation_id("post", "/models/{model}/serve") == "post_models_model_serve"
    assert operation_id("get", "/health") == "get_health"
    assert (tag("/models/{model}/{version}/alerts"), tag("/history/alerts"), tag("/new")) == (
        "alerts", "history", "status",
    )  # fmt: skip


def test_the_document_has_nothing_that_generators_do_not_know(openapi: Any) -> None:
    """No boolean schemas (as `items: false`), and one body for each operation: of JSON, or a form of files."""
    jsonschema.Draft202012Validator.check_schema({"$defs": openapi["components"]["schemas"]})

    def walk(schema: Any) -> None:
        if isinstance(schema, list):
            for one in schema:
                walk(one)
        if isinstance(schema, dict):
            assert not isinstance(schema.get("items", {}), bool)
            assert "prefixItems" not in schema
            for one in schema.values():
                walk(one)

    walk(openapi)
    for _, path, one in operations(openapi):
        kinds = set(one.get("requestBody", {}).get("content", {}))
        assert not kinds or kinds - {"application/x-ndjson"} in ({"application/json"}, {"multipart/form-data"}), path


def test_asyncapi_is_valid_by_its_own_schema_and_would_not_be_otherwise() -> None:
    validator = jsonschema.Draft7Validator(json.loads(ASYNCAPI.read_text()))
    document = yaml.safe_load((DOCS / "asyncapi.yaml").read_text())
    assert [f"{list(error.absolute_path)}: {error.message[:200]}" for error in validator.iter_errors(document)] == []
    spoils: list[Callable[[Any], object]] = [
        lambda one: next(iter(one["operations"].values())).pop("action"),
        lambda one: one["channels"]["predictions"].update(adress="predictions"),
        lambda one: one["servers"]["kafka"].pop("host"),
    ]
    for spoil in spoils:
        spoilt = copy.deepcopy(document)
        spoil(spoilt)
        assert not validator.is_valid(spoilt)
