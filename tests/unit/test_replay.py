"""Replay: rows become events, streams are merged by time, keys find their partition."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from app.core.counting import NON_FINITE
from app.replay.encode import Columns, Encoded, ReplayError, encode_feedback, encode_predictions
from app.replay.files import encoded_chunks, frame_chunks
from app.replay.merge import merged
from app.replay.partition import partitions_of
from topics.events import FeedbackEvent, PredictionEvent, to_epoch

COLUMNS = Columns(features=("age", "town"))


def people() -> pd.DataFrame:
    return pd.DataFrame({
        "prediction_id": ["a", "b", "c", "d"],
        "timestamp": [1.0, 2.5, 3.0, 4.0],
        "age": [31.0, np.nan, np.inf, -np.inf],
        "town": pd.Categorical(["Oulu", None, "Turku", "Oulu"]),
        "prediction": [1, 0, 1, 1],
        "probability": [0.9, 0.2, 0.7, 0.6],
    })  # fmt: skip


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
    frame = people()
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    whole = encode_predictions(frame, COLUMNS, "m", "1").values
    for chunk in (1, 3, 100):
        parts = encoded_chunks(path, lambda f: encode_predictions(f, COLUMNS, "m", "1"), chunk)
        assert [json.loads(v) for part in parts for v in part.values] == [json.loads(v) for v in whole]


def test_lines_of_events_are_sent_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = [b'{"prediction_id": "x", "timestamp": "1970-01-01T00:00:07Z", "odd":  1}', b'{"prediction_id":"y"}']
    path.write_bytes(lines[0] + b"\n\n" + lines[1])
    (chunk,) = encoded_chunks(path, lambda f: pytest.fail("no table"))
    assert chunk.values == lines
    assert chunk.keys == [b"x", b"y"]
    assert chunk.times.tolist() == [7.0, np.inf]


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"prediction_id":"y"}\n{"prediction_id":3}\n')
    with pytest.raises(ReplayError, match=r"line 2: .*prediction_id"):
        list(encoded_chunks(path, lambda f: pytest.fail("no table")))


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
