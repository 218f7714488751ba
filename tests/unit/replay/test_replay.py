"""Replay: rows become events, streams are merged by time, keys find their partition."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from app.core.panes.inputs import NON_FINITE
from app.registration.profiling import profile_of
from app.replay.encode import Encoded, ReplayColumns, ReplayError, encode_feedback, encode_predictions
from app.replay.files import encoded_chunks, frame_chunks
from app.replay.merge import merged
from topics.events import FeedbackEvent, PredictionEvent, to_epoch
from topics.partition import partitions_of

COLUMNS = ReplayColumns(features=("age", "town"))


def people() -> pd.DataFrame:
    return pd.DataFrame({
        "prediction_id": ["a", "b", "c", "d"],
        "timestamp": [1.0, 2.5, 3.0, 4.0],
        "age": [31.0, np.nan, np.inf, -np.inf],
        "town": pd.Categorical(["Oulu", None, "Turku", "Oulu"]),
        "prediction": [1, 0, 1, 1],
        "probability": [0.9, 0.2, 0.7, 0.6],
    })  # fmt: skip


def no_table(_: pd.DataFrame) -> Encoded:
    pytest.fail("no table")


def predictions_of(encoded: Encoded) -> list[PredictionEvent]:
    return [msgspec.json.decode(value, type=PredictionEvent) for value in encoded.values]


def test_every_row_becomes_a_valid_event_with_its_id_as_key() -> None:
    encoded = encode_predictions(people(), COLUMNS, "m", "1")
    events = predictions_of(encoded)
    assert encoded.keys == [b"a", b"b", b"c", b"d"]
    assert [e.prediction_id for e in events] == ["a", "b", "c", "d"]
    assert [to_epoch(e.timestamp) for e in events] == [1.0, 2.5, 3.0, 4.0] == encoded.times.tolist()
    assert [(e.model, e.model_version, e.prediction, e.probability) for e in events[:2]] == [
        ("m", "1", 1, 0.9), ("m", "1", 0, 0.2),
    ]  # fmt: skip


def test_missing_is_null_and_infinities_are_spelled_as_the_decoder_reads_them() -> None:
    ages = [e.features["age"] for e in predictions_of(encode_predictions(people(), COLUMNS, "m", "1"))]
    assert ages == [31.0, None, "Infinity", "-Infinity"]
    assert [NON_FINITE[str(a)] for a in ages[2:]] == [np.inf, -np.inf]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["2026-03-01T12:00:00Z"] * 4),
        pd.Series(["2026-03-01T14:00:00+02:00"] * 4),
        pd.Series(pd.to_datetime(["2026-03-01 12:00:00"] * 4)),
        pd.Series(pd.to_datetime(["2026-03-01 12:00:00"] * 4, utc=True).as_unit("ns")),
        pd.Series([1772366400] * 4),
    ],
)
def test_timestamps_are_read_in_every_usual_form(column: pd.Series) -> None:
    encoded = encode_predictions(people().assign(timestamp=column), COLUMNS, "m", "1")
    assert set(encoded.times.tolist()) == {datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()}


@pytest.mark.parametrize("name", ["prediction_id", "timestamp", "town", "prediction", "probability"])
def test_an_absent_column_is_named(name: str) -> None:
    with pytest.raises(ReplayError, match=f"no column '{name}'"):
        encode_predictions(people().drop(columns=name), COLUMNS, "m", "1")


def test_rows_without_truth_send_no_feedback_and_times_may_be_absent() -> None:
    truth = pd.DataFrame({"prediction_id": [1, 2, 3], "actual": [1.0, None, 0.0]})
    encoded = encode_feedback(truth, COLUMNS)
    events = [msgspec.json.decode(value, type=FeedbackEvent) for value in encoded.values]
    assert [(e.prediction_id, e.actual, e.timestamp) for e in events] == [("1", 1.0, None), ("3", 0.0, None)]
    assert encoded.times.tolist() == [np.inf, np.inf]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_gives_the_same_events_as_the_table_whatever_the_chunk(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"people.{suffix}"
    frame, profile = people(), profile_of("m", "1", people())
    columns = replace(COLUMNS, profile=profile)
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    whole = encode_predictions(frame, columns, "m", "1").values
    for chunk in (1, 3, 100):
        parts = encoded_chunks(path, lambda f: encode_predictions(f, columns, "m", "1"), chunk)
        assert [json.loads(v) for part in parts for v in part.values] == [json.loads(v) for v in whole]


def test_lines_of_events_are_sent_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = [
        b'{"prediction_id": "x", "model":"m", "model_version":"1", "features": {}, "timestamp": 7.0, "odd":  1}',
        b'{"prediction_id":"y","model":"m","model_version":"1","features":{},"timestamp":8}',
    ]
    path.write_bytes(b"\n" + lines[0] + b"\n\n" + lines[1])
    (chunk,) = encoded_chunks(path, no_table, model=("m", "1"))
    assert chunk.values == lines
    assert chunk.keys == [b"x", b"y"]
    assert chunk.times.tolist() == [7.0, 8.0]


def test_feedback_events_are_sent_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    lines = [b'{"prediction_id":"x","actual":1}', b'{"prediction_id":"y","actual":0,"timestamp":3}']
    path.write_bytes(b"\n".join(lines))
    (chunk,) = encoded_chunks(path, no_table)
    assert (chunk.values, chunk.times.tolist()) == (lines, [np.inf, 3.0])


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_lines_of_rows_are_rows_as_in_any_other_file(size: int, tmp_path: Path) -> None:
    frame = people().replace([np.inf, -np.inf], 99.0)
    path, columns = tmp_path / "people.ndjson", replace(COLUMNS, prediction="said")
    rows = frame.rename(columns={"prediction": "said"}).to_dict("records")
    # what has no value may be left out, or be null; the first row says which columns there are
    left = [{name: v for name, v in row.items() if i % 2 == 0 or not pd.isna(v)} for i, row in enumerate(rows)]
    path.write_text("\n".join(json.dumps(row).replace("NaN", "null") for row in left))
    whole = encode_predictions(frame, COLUMNS, "m", "1")
    parts = list(encoded_chunks(path, lambda f: encode_predictions(f, columns, "m", "1"), size, model=("m", "1")))
    assert [json.loads(v) for part in parts for v in part.values] == [json.loads(v) for v in whole.values]
    truth = tmp_path / "truth.jsonl"
    truth.write_text('{"prediction_id": "a", "truth": 1}\n{"prediction_id": "b", "truth": 0}\n')
    sent = encoded_chunks(truth, lambda f: encode_feedback(f, replace(COLUMNS, actual="truth")), size)
    assert [json.loads(v)["actual"] for part in sent for v in part.values] == [1, 0]


EVENT = '{"prediction_id":"y","model":"m","model_version":"1","timestamp":1,"features":{}}'


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([EVENT, EVENT.replace('"y"', "3")], "line 2: no event: .*prediction_id"),
        ([EVENT, "", EVENT.replace('"m"', '"n"')], "line 3: an event of n version 1: give --model n --version 1"),
        ([EVENT, EVENT.replace(',"timestamp":1', "")], "line 2: no event: .*timestamp"),
        ([EVENT, "{"], "line 2: no event: "),
        (["{"], "line 1: "),
        (["[1]"], "line 1: expected an object"),
        (['{"age": 1}', EVENT], "line 2: an event, but the first line is a row without `features`"),
        (['{"age": 1}'], "no column 'prediction_id'; the file has: age"),
    ],
)
def test_a_broken_line_is_named(lines: list[str], words: str, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(ReplayError, match=words) as error:
        list(encoded_chunks(path, lambda f: encode_predictions(f, COLUMNS, "m", "1"), model=("m", "1")))
    assert str(path) in str(error.value)


def test_an_empty_file_sends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("\n")
    assert list(encoded_chunks(path, no_table, model=("m", "1"))) == []


def timed(times: list[float]) -> Encoded:
    names = [str(t).encode() for t in times]
    return Encoded(np.array(times), names, names)


@st.composite
def streams(draw: st.DrawFn) -> list[Encoded]:
    times = sorted(draw(st.lists(st.integers(0, 50), max_size=40)))
    cuts = sorted(draw(st.lists(st.integers(0, len(times)), max_size=5)))
    pieces = [times[a:b] for a, b in zip([0, *cuts], [*cuts, len(times)], strict=True)]
    return [timed([float(t) for t in piece]) for piece in pieces]


@given(streams(), streams())
def test_two_sorted_streams_are_sent_whole_and_in_time_order_between_slabs(
    predictions: list[Encoded], feedback: list[Encoded]
) -> None:
    slabs = list(merged(iter(predictions), iter(feedback)))
    for source, stream in (("predictions", predictions), ("feedback", feedback)):
        sent = [v for kind, slab in slabs if kind == source for v in slab.values]
        assert sent == [v for chunk in stream for v in chunk.values]
    ends = [slab.times.max() for _, slab in slabs]
    begins = [slab.times.min() for _, slab in slabs]
    # A slab may only be overtaken by the other stream's slab of the same round.
    assert all(begins[i] >= ends[i - 2] for i in range(2, len(slabs)))


def test_feedback_without_time_comes_last_and_an_unsorted_stream_keeps_its_order() -> None:
    slabs = list(merged(iter([timed([5.0, 1.0]), timed([2.0])]), iter([timed([np.inf])])))
    assert [(kind, slab.times.tolist()) for kind, slab in slabs] == [
        ("predictions", [5.0, 1.0]), ("predictions", [2.0]), ("feedback", [np.inf]),
    ]  # fmt: skip


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=20), st.integers(1, 12))
def test_keys_go_where_every_kafka_client_sends_them(keys: list[bytes], partitions: int) -> None:
    everywhere = list(range(partitions))
    expected = [DefaultPartitioner()(key, everywhere, everywhere) for key in keys]
    assert partitions_of(keys, partitions).tolist() == expected


def test_a_table_in_memory_is_cut_into_chunks() -> None:
    chunks = list(frame_chunks(people(), lambda f: encode_predictions(f, COLUMNS, "m", "1"), 3))
    assert [len(chunk) for chunk in chunks] == [3, 1]
