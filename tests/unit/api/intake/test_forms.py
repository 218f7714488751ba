"""Forms, parted as other people's clients write them."""

from __future__ import annotations

import gzip
import io

import httpx
import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.problems import Problem
from api.intake.forms import FormPart, form_of
from api.intake.references import reference_of
from app.core.reference.profile import Profile
from app.registration.profiling import profile_of
from tests.support.served_model import PEOPLE, TRUTH

NAMES = ("reference", "config", "separator")
FRAME = PEOPLE.assign(prediction=TRUTH, target=TRUTH).sample(40, random_state=1)
CSV = FormPart("r.csv", FRAME.to_csv(index=False).encode())


def sent(files: dict[str, tuple[str | None, bytes]]) -> tuple[bytes, str]:
    """Return a form as httpx writes it: body and content type."""
    request = httpx.Request("POST", "http://x/", files=files)
    return request.read(), request.headers["content-type"]


@given(
    st.dictionaries(
        st.sampled_from(NAMES),
        st.tuples(
            st.none() | st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters='/\\"%'), min_size=1),
            st.binary() | st.sampled_from([b"\r\n", b"--", b"\r\n--", b"\r\n\r\n--x--\r\n"]),
        ),
        min_size=1,
    )
)
def test_a_form_of_any_bytes_comes_back_as_it_was(files: dict[str, tuple[str | None, bytes]]) -> None:
    body, kind = sent(files)
    found = form_of(body, kind, NAMES)
    assert {name: one.content for name, one in found.items()} == {name: content for name, (_, content) in files.items()}
    assert {name: one.filename.strip() for name, one in found.items()} == {
        name: (filename or "").strip() for name, (filename, _) in files.items()
    }


HEAD = 'content-disposition: form-data; name="{}"'
BASE64 = HEAD.format("config") + "\r\ncontent-transfer-encoding: base64"
FORM = "multipart/form-data; boundary=b"


def raw(*heads: str, end: str = "--b--\r\n", before: str = "") -> bytes:
    return (before + "".join(f"--b\r\n{head}\r\n\r\nx\r\n" for head in heads) + end).encode()


def test_a_line_break_before_the_first_boundary_and_a_name_in_other_letters_are_taken() -> None:
    """Some clients write the first; RFC 5987 and plain UTF-8 are both seen for the second."""
    head = 'content-disposition: form-data; name="reference"; '
    for name in ('filename="C:\\\\data\\\\r\u00e9.csv"', "filename*=UTF-8''r%C3%A9.csv"):
        found = form_of(raw(head + name, before="\r\n"), FORM, NAMES)
        assert found == {"reference": FormPart("r\u00e9.csv", b"x")}


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (raw(HEAD.format("config")), "application/json", 415, "content-type: must be multipart/form-data"),
        (raw(HEAD.format("config")), "multipart/form-data", 400, "has no boundary"),
        (raw(HEAD.format("config"), end=""), FORM, 400, "cut off"),
        (raw(HEAD.format("config"), end="--b"), FORM, 400, "cut off"),
        (b"x", FORM, 400, "does not begin with the boundary"),
        (raw(), FORM, 400, "no parts"),
        (raw(HEAD.format("confg")), FORM, 422, "confg: is no part of this form (did you mean"),
        (raw(*[HEAD.format("config")] * 2), FORM, 422, "config: is given twice"),
        (raw("x-other: 1"), FORM, 400, "content-disposition"),
        (raw("content-disposition: form-data"), FORM, 400, "has no name"),
        (raw(BASE64), 'multipart/form-data; boundary="b"', 415, "config: content-transfer-encoding base64"),
        (raw(*[HEAD.format("config")] * 31), FORM, 413, "at most 30"),
        (raw("x: " + "y" * 9000), FORM, 400, "no headers"),
    ],
)  # fmt: skip
def test_what_is_no_form_is_refused_by_name(body: bytes, kind: str, status: int, words: str) -> None:
    with pytest.raises(Problem) as refused:
        form_of(body, kind, NAMES)
    assert refused.value.status == status
    assert words in refused.value.detail


@pytest.mark.parametrize(
    ("form", "status", "words"),
    [
        ({}, 400, "reference: missing"),
        ({"reference": CSV, "profile": CSV}, 422, "profile: there is a reference too"),
        ({"reference": CSV, "hidden": FormPart("", b"{}")}, 422, "hidden: is for a profile"),
        ({"reference": FormPart("", CSV.content)}, 422, "reference: has no filename"),
        ({"reference": FormPart("r.xlsx", b"x")}, 422, "r.xlsx: unknown kind of file"),
        ({"reference": FormPart("r.parquet", b"x" * 20)}, 422, "r.parquet: "),
        ({"reference": FormPart("r.jsonl", b'{"a": 1}\n[2]')}, 422, "r.jsonl line 2: expected an object"),
        ({"reference": FormPart("r.csv.gz", b"x")}, 422, "r.csv.gz: "),
        ({"reference": FormPart("r.csv", b"a,b\n1,2\n3\n")}, 422, "r.csv: Expected 2 fields in line 3, saw 1"),
        ({"reference": FormPart("r.csv", b"")}, 422, "r.csv: "),
        ({"reference": CSV, "config": FormPart("", b'{"windows": {"pain": 60}}')}, 422, "config: "),
        ({"reference": CSV, "config": FormPart("", b'{"columns": {"target": "churned"}}')}, 422, "no column 'churned'"),
        ({"reference": CSV, "config": FormPart("", b'{"columns": {"hash": ["age"]}}')}, 422, "columns.hash: needs"),
        ({"reference": CSV, "baseline": FormPart("", b"[]")}, 422, "baseline: "),
        ({"reference": CSV, "separator": FormPart("", b";;")}, 422, "separator: must be one character"),
        ({"reference": CSV, "decimal": FormPart("", b"x")}, 422, "decimal: must be . or ,"),
        ({"reference": CSV, "encoding": FormPart("", b"utf-99")}, 422, "'utf-99' is not known"),
        ({"reference": CSV, "encoding": FormPart("", b"a\0")}, 422, "'a\\x00' is not known"),
        ({"reference": CSV, "encoding": FormPart("", b"base64")}, 422, "'base64' is not known"),
        ({"reference": CSV, "encoding": FormPart("", b"utf-16")}, 422, "r.csv: it does not decode as utf-16"),
        ({"reference": CSV, "separator": FormPart("", "\u00fc".encode())}, 422, "--separator: must be a character of"),
        ({"profile": CSV, "separator": FormPart("", b",")}, 422, "separator: is for a reference"),
        ({"profile": FormPart("", b"{}")}, 422, "profile: "),
    ],
)  # fmt: skip
def test_what_is_no_reference_is_refused_by_part_and_key(form: dict[str, FormPart], status: int, words: str) -> None:
    with pytest.raises(Problem) as refused:
        reference_of("churn", "3", form, None)
    assert (refused.value.status, words in refused.value.detail) == (status, True), refused.value.detail


def test_a_packed_reference_is_read_and_one_that_is_a_bomb_is_not() -> None:
    packed = FormPart("r.csv.gz", gzip.compress(CSV.content))
    assert reference_of("m", "1", {"reference": packed}, None).profile == profile_of_csv("m", "1")
    many = io.BytesIO()
    pd.DataFrame({"a": np.zeros(21_000_000, np.int8)}).to_parquet(many)
    assert len(many.getvalue()) < 1 << 20
    with pytest.raises(Problem) as refused:
        reference_of("m", "1", {"reference": FormPart("r.parquet", many.getvalue())}, None)
    assert (refused.value.status, "21,000,000 cells; at most 20,000,000" in refused.value.detail) == (413, True)
    bomb = FormPart("r.csv.gz", gzip.compress(bytes(130 << 20), 1))
    with pytest.raises(Problem) as refused:
        reference_of("m", "1", {"reference": bomb}, None)
    assert (refused.value.status, "more than 128 MiB unpacked" in refused.value.detail) == (413, True)


def profile_of_csv(model: str, version: str) -> Profile:
    return reference_of(model, version, {"reference": CSV}, None).profile


COLUMN = {"name": "age", "distribution": [0.1, 0.0], "missing": [0.0, 0.0]}
USUAL = {"since": 1.0, "until": 2.0, "rows": 40, "spans": [1.0, 2.0], "windows": [2, 1], "columns": [COLUMN]}
SPOILS = [
    ("model", "other", "model: is 'other', but the address says 'm'"),
    ("n", 3, "has 40 rows, but the profile has n 3"),
    ("n", 0, "n: must be at least 1"),
    ("labels", ["1"], "labels: a binary model needs two at least"),
    ("labels", ["1", "1"], "labels: '1' stands there twice"),
    ("features", [], "features: must name at least one"),
    ("task", "clustering", "task"),
    ("features.0.values", [5.0, 4.0, 3.0], "feature 'age': "),
    ("features.0.counts", [-1], "feature 'age': "),
    ("features.0.scale", 0.0, "feature 'age': scale: must be above 0"),
    ("features.0.missing", -1, "feature 'age': missing: must not be negative"),
    ("usual", {**USUAL, "rows": 0}, "usual.rows: must be at least 1"),
    ("usual", {**USUAL, "spans": [2.0, 1.0]}, "usual.spans: must be ascending"),
    ("usual", {**USUAL, "windows": []}, "usual.windows: must have one for each of the 2 spans"),
    ("usual", {**USUAL, "until": 0.0}, "usual.until: must not be before since"),
    ("usual", {**USUAL, "columns": [{**COLUMN, "name": "x"}]}, "usual.columns: 'x' is no column of the profile"),
    ("usual", {**USUAL, "columns": [{**COLUMN, "missing": [0.0]}]}, "usual.columns.age: must have one value"),
    ("usual", {**USUAL, "metrics": [{"name": "f1", "drop": [0.0, -1.0]}]}, "usual.metrics.f1: must not be negative"),
    ("baseline.accuracy", 0.1, "profile_id: is not that of its content"),
]


@pytest.mark.parametrize(("field", "value", "words"), SPOILS)
def test_a_profile_that_was_changed_is_refused_by_field(field: str, value: object, words: str) -> None:
    document = msgspec.to_builtins(profile_of("m", "1", FRAME))
    assert document["features"][0]["name"] == "age"
    *way, last = [int(part) if part.isdigit() else part for part in field.split(".")]
    place = document
    for part in way:
        place = place[part]
    place[last] = value
    with pytest.raises(Problem) as refused:
        reference_of("m", "1", {"profile": FormPart("", msgspec.json.encode(document))}, None)
    assert (refused.value.status, words in refused.value.detail) == (422, True), refused.value.detail


def test_a_profile_is_held_against_what_the_configuration_hides() -> None:
    profile = FormPart("", msgspec.json.encode(profile_of("m", "1", FRAME.drop(columns="age"))))
    config = FormPart("", b'{"columns": {"redact": ["age"]}}')
    hidden = FormPart("", b'{"redact": ["age"], "order": ["age"]}')
    found = reference_of("m", "1", {"profile": profile, "config": config, "hidden": hidden}, None)
    assert found.hidden is not None
    assert found.hidden.redact == ("age",)
    whole = FormPart("", msgspec.json.encode(profile_of("m", "1", FRAME)))
    critical = FormPart("", b'{"alerting": {"critical_features": ["age"]}}')
    for form, words in (
        ({"profile": profile, "config": config}, "hidden: missing; config hides columns.redact age"),
        ({"profile": profile, "config": config, "hidden": FormPart("", b"{}")}, "hidden.redact: lacks age"),
        ({"profile": whole, "config": config, "hidden": hidden}, "hidden.redact: age is in the profile"),
        ({"profile": profile, "hidden": FormPart("", b'{"hash": ["plan"]}')}, "hidden.key_check: missing"),
        ({"profile": profile, "config": critical}, "config: alerting.critical_features: age is not one"),
    ):  # fmt: skip
        with pytest.raises(Problem) as refused:
            reference_of("m", "1", form, None)
        assert words in refused.value.detail
