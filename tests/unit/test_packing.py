"""Packed arrays against themselves, unpacked."""

import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.core.packing import narrow, pack, pack_ascending, unpack, unpack_ascending

lengths = st.integers(0, 50)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50))
def test_integers_come_back(values: list[int]) -> None:
    assert unpack(pack(np.array(values, np.int64))).tolist() == values


@given(arrays(np.float64, lengths))
def test_floats_come_back_bit_by_bit(values: np.ndarray) -> None:
    assert unpack(pack(values)).tobytes() == values.tobytes()


@given(st.lists(st.integers(0, 2**31 - 1), max_size=50))
def test_ascending_integers_come_back(values: list[int]) -> None:
    ascending = np.array(sorted(values), np.int32)
    assert unpack_ascending(pack_ascending(ascending)).tolist() == ascending.tolist()


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_narrowed_integers_are_the_same_and_no_narrower_type_holds_them(values: list[int]) -> None:
    narrowed = narrow(np.array(values, np.int64))
    assert narrowed.tolist() == values
    smaller = {8: np.int32, 4: np.int16, 2: np.int8}.get(narrowed.itemsize)
    assert smaller is None or narrowed.astype(smaller).tolist() != values


def test_steps_take_less_room_than_positions() -> None:
    positions = np.sort(np.random.default_rng(1).choice(60_000, 10_000, replace=False)).astype(np.int32)
    assert len(zlib.compress(pack_ascending(positions))) < 0.6 * len(zlib.compress(positions.tobytes()))
