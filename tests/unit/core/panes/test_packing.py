"""Packed arrays against themselves, unpacked."""

import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.core.panes.packing import ascending_of, narrow, pack, pack_each, steps_of, unpack, unpack_each

lengths = st.integers(0, 50)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50))
def test_integers_come_back(values: list[int]) -> None:
    assert unpack(pack(np.array(values, np.int64))).tolist() == values


@given(arrays(np.float64, lengths))
def test_floats_come_back_bit_by_bit(values: np.ndarray) -> None:
    assert unpack(pack(values)).tobytes() == values.tobytes()


integers = st.one_of(st.integers(-128, 127), st.integers(-(2**15), 2**15), st.integers(-(2**63), 2**63 - 1))


@given(st.lists(st.lists(integers, max_size=6), min_size=1, max_size=8))
def test_parts_of_integers_come_back_and_each_is_packed_as_alone(parts: list[list[int]]) -> None:
    lengths = np.array([len(part) for part in parts])
    packed = pack_each(np.array([value for part in parts for value in part], np.int64), lengths)
    assert packed == [pack(np.array(part, np.int64)) for part in parts]
    values, found = unpack_each(packed)
    assert [part.tolist() for part in np.split(values, np.cumsum(found)[:-1])] == parts


@given(st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=6), min_size=1, max_size=8))
def test_parts_of_ascending_integers_come_back_from_their_steps(parts: list[list[int]]) -> None:
    ascending = np.array([value for part in parts for value in sorted(part)], np.int64)
    lengths = np.array([len(part) for part in parts])
    steps = steps_of(ascending, lengths)
    assert steps.tolist() == [b - a for part in map(sorted, parts) for a, b in zip([0, *part], part, strict=False)]
    assert ascending_of(steps, lengths).tolist() == ascending.tolist()


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_narrowed_integers_are_the_same_and_no_narrower_type_holds_them(values: list[int]) -> None:
    narrowed = narrow(np.array(values, np.int64))
    assert narrowed.tolist() == values
    smaller = {8: np.int32, 4: np.int16, 2: np.int8}.get(narrowed.itemsize)
    assert smaller is None or narrowed.astype(smaller).tolist() != values


def test_steps_take_less_room_than_positions() -> None:
    positions = np.sort(np.random.default_rng(1).choice(60_000, 10_000, replace=False)).astype(np.int32)
    steps = pack(steps_of(positions, np.array([len(positions)])))
    assert len(zlib.compress(steps)) < 0.6 * len(zlib.compress(positions.tobytes()))
