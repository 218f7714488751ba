"""The id index against a dict."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.core.join.id_index import IdIndex


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=300), st.integers(1, 60))
def test_finds_what_a_dict_finds(keys: list[tuple[int, int]], batch: int) -> None:
    index = IdIndex(1)
    truth: dict[tuple[int, int], int] = {}
    stored = np.empty((0, 2), np.uint64)
    for start in range(0, len(keys), batch):
        fresh = [key for key in dict.fromkeys(keys[start : start + batch]) if key not in truth]
        ids = np.array(fresh, np.uint64).reshape(-1, 2)
        rows = np.arange(len(truth), len(truth) + len(fresh), dtype=np.int32)
        stored = np.concatenate([stored, ids])
        index.add(ids, rows, stored[:, 1])
        truth.update(zip(fresh, rows.tolist(), strict=True))
        probe = [(a, b) for a in range(0, 41, 7) for b in range(0, 41, 3)] + list(truth)
        found = index.find(np.array(probe, np.uint64).reshape(-1, 2), stored[:, 0], stored[:, 1])
        assert found.tolist() == [truth.get(key, -1) for key in probe]
    assert len(index) == len(truth)


def test_grows_and_stays_small() -> None:
    rng = np.random.default_rng(1)
    ids = rng.integers(0, 2**63, size=(200_000, 2), dtype=np.uint64)
    index = IdIndex()
    for start in range(0, len(ids), 1000):
        index.add(ids[start : start + 1000], np.arange(start, start + 1000, dtype=np.int32), ids[:, 1])
    assert (index.find(ids, ids[:, 0], ids[:, 1]) == np.arange(len(ids))).all()
    assert (index.find(ids + np.uint64(1), ids[:, 0], ids[:, 1]) == -1).all()
    assert index.nbytes / len(ids) < 30
