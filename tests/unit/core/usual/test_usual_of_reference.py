"""What is usual of a reference: against plain recounts with scipy, and on streams of days, storms and seasons."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import genpareto, ks_2samp, kstwobign

from app.core.reference.profile import Profile, with_identity
from app.core.usual.bound import upper_bound
from app.core.usual.distances import EXPECTED_SQUARE, js_distances, ks_distances, missing_rises, unseen_rises
from app.core.usual.learning import learn, slots_of
from app.core.usual.spans import DAY, FEWEST_ROWS, WEEK, RowWindows, learned_spans, row_windows
from tests.support.columns import Floats, layout_for

SHORT = st.lists(st.floats(-3, 3) | st.sampled_from([np.nan, np.inf, 0.0]), min_size=20, max_size=60)


def windows_over(n: int) -> RowWindows:
    """Three windows, one over the other."""
    return RowWindows(np.array([0, 3, 5]), np.array([8, n // 2, n // 2 + 2]), 3.0)


@given(SHORT)
def test_the_distance_of_numbers_is_scipys_of_the_window_and_the_rest(values: list[float]) -> None:
    raw = np.array(values)
    slots = layout_for({"x": raw}).slots[0]
    windows = windows_over(len(raw))
    found = ks_distances(slots, slots_of(slots, raw), windows)
    for distance, first, last in zip(found, windows.first, windows.last, strict=True):
        inside, outside = raw[first:last], np.concatenate([raw[:first], raw[last:]])
        inside, outside = inside[~np.isnan(inside)], outside[~np.isnan(outside)]
        if not len(inside) or not len(outside):
            assert distance == 0.0
            continue
        rows = len(inside) * len(outside) / (len(inside) + len(outside))
        square = ks_2samp(inside, outside, method="asymp").statistic ** 2 - EXPECTED_SQUARE / max(rows, 1.0)
        assert distance == pytest.approx(np.sqrt(max(square, 0.0)), abs=1e-7)


def test_what_sampling_brings_is_the_mean_square_of_kolmogorovs_law() -> None:
    assert kstwobign.moment(2) == pytest.approx(EXPECTED_SQUARE, abs=1e-6)


@given(st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=20, max_size=60))
def test_shares_and_distances_of_categories_are_those_of_a_recount(values: list[str | None]) -> None:
    slots = layout_for({"x": values}).slots[0]
    codes, windows = slots_of(slots, values), windows_over(len(values))
    found = zip(js_distances(slots, codes, windows), missing_rises(slots, codes, windows),
                unseen_rises(slots, codes, windows), windows.first, windows.last, strict=True)  # fmt: skip
    total = sum(value is not None for value in values)
    for distance, missing, unseen, first, last in found:
        inside, outside = values[first:last], values[:first] + values[last:]
        n, m = (sum(value is not None for value in part) for part in (inside, outside))
        gone, share = inside.count(None) / len(inside), values.count(None) / len(values)
        rows = len(inside) * len(outside) / len(values)
        assert missing == pytest.approx(max(gone - share - np.sqrt(share * (1 - share) / rows), 0.0), abs=1e-12)
        if not n or not m:
            assert distance == 0.0
            continue
        p, q = ([part.count(name) / of for name in "abcd"] for part, of in ((inside, n), (outside, m)))
        whole = [values.count(name) / total for name in "abcd"]
        expected = sum(min(s, (1 - s) / (8 * np.log(2) * max(n * m / total, 1))) for s in whole)
        assert distance == pytest.approx(np.sqrt(max(jensenshannon(p, q, base=2) ** 2 - expected, 0.0)), abs=1e-6)
        alone = sum(value is not None and value not in outside for value in inside) / n
        single = sum(values.count(name) == 1 for name in "abcd") / total
        deviation = np.sqrt(single * (1 - single) / max(n * m / total, 1))
        assert unseen == pytest.approx(max(alone - single - deviation, 0.0))


def test_what_sampling_brings_to_categories_is_taken_off() -> None:
    rng = np.random.default_rng(0)
    names = [f"c{i}" for i in range(300)]
    weights = 1 / np.arange(1, 301)
    values = rng.choice(names, 20_000, p=weights / weights.sum()).tolist()
    slots = layout_for({"x": values}).slots[0]
    starts = np.arange(0, 19_800, 100)
    found = js_distances(slots, slots_of(slots, values), RowWindows(starts, starts + 100, 198.0))
    assert np.median(found**2) < 0.02  # without that it is 0.3
    assert found.max() < 0.35


def test_windows_have_their_rows_by_time_and_no_two_are_counted_as_more_than_they_are_worth() -> None:
    times = np.sort(np.random.default_rng(1).uniform(0, 10 * DAY, 3000))
    windows = row_windows(times, DAY)
    assert windows.side_by_side == pytest.approx(9.75)
    for i, (first, last) in enumerate(zip(windows.first, windows.last, strict=True)):
        start = times[0] + i * DAY / 4
        assert last - first == ((times >= start) & (times < start + DAY)).sum()
    sparse = row_windows(np.concatenate([times[:200], times[-3:]]), DAY / 2)
    assert (sparse.n >= FEWEST_ROWS).all()
    assert len(row_windows(times, 9 * DAY).n) == 0  # no rest to be compared with


def test_spans_are_those_of_the_stream_with_days_and_weeks_as_far_as_the_reference_reaches() -> None:
    assert learned_spans((60.0, 3600.0), 31 * DAY) == (60.0, 3600.0, DAY, 2 * DAY, WEEK)
    assert learned_spans((60.0, 3600.0), 2 * DAY) == (60.0, 3600.0)
    assert learned_spans((86_400.0,), 3600.0) == ()


@pytest.mark.parametrize("end", [0.3, 1.0])
def test_the_bound_is_rarely_exceeded_and_wider_from_fewer_windows(end: float) -> None:
    """Effects whose tail ends at 1, or far below it, where a power law up to 1 is the careful one."""
    rng = np.random.default_rng(2)
    law = genpareto(-0.25, scale=end * 0.25)
    means = []
    for n in (30, 700):
        bounds = np.array([upper_bound(law.rvs(n, random_state=rng), n, 0.25 / n) for _ in range(200)])
        assert np.mean(law.sf(bounds)) * n < 0.3
        means.append(float(np.mean(bounds)))
    assert means[0] < end + 0.15
    assert upper_bound(np.array([0.2, 0.4]), 2, 0.1) >= 0.4
    assert upper_bound(np.array([]), 0, 0.1) == 1.0
    few, many = (upper_bound(np.linspace(0, 0.3, 40), n, 1e-3) for n in (10, 40))
    assert few > many


def days(seed: int, length: int, rows: int = 240) -> tuple[Floats, dict[str, Floats | list[str | None]]]:
    """Times and columns of rows from 5 to 24 o'clock: `hour` goes with the clock, `size` with nothing."""
    rng = np.random.default_rng(seed)
    times = np.sort(np.concatenate([rng.uniform(5, 24, rows) * 3600 + day * DAY for day in range(length)]))
    hour = times % DAY // 3600
    early = (hour < 9) & (rng.random(len(times)) < 0.5)
    return times, {
        "hour": hour, "size": rng.normal(size=len(times)),
        "route": ["early" if one else "late" for one in early.tolist()],
        "gap": np.where(hour >= 20, np.nan, 1.0),
    }  # fmt: skip


def test_a_column_that_goes_with_the_clock_is_usual_by_its_days_and_one_that_does_not_by_its_hours() -> None:
    times, columns = days(3, 29)
    usual = learn(layout_for(columns), list(columns.values()), times, (3600.0, 4 * 3600.0))
    assert usual is not None
    assert (usual.spans, usual.windows[-1], usual.rows) == ((3600.0, 14_400.0, DAY, 2 * DAY, WEEK), 4, 6960)
    by_name = {column.name: column for column in usual.columns}
    assert by_name["hour"].distribution[0] > 0.75
    assert by_name["hour"].distribution[2] < 0.1
    assert by_name["size"].distribution[1] < 0.35
    assert by_name["route"].distribution[0] > 0.3
    assert by_name["route"].distribution[2] < 0.1
    assert by_name["gap"].missing[0] > 0.7
    assert by_name["gap"].missing[2] < 0.1
    assert by_name["size"].missing == (0.0,) * 5
    assert by_name["hour"].unseen == ()


def test_times_that_say_nothing_teach_nothing() -> None:
    times, columns = days(4, 2)
    layout, values = layout_for(columns), list(columns.values())
    assert learn(layout, values, np.full(len(times), np.nan), (60.0,)) is None
    assert learn(layout, values, np.full(len(times), 1e9), (60.0,)) is None
    assert learn(layout, values, times, (5 * DAY,)) is None
    known = np.where(np.arange(len(times)) % 2, times, np.nan)
    some = learn(layout, values, known, (3600.0,))
    assert some is not None
    assert some.rows == len(times) // 2
    shuffled = np.random.default_rng(5).permutation(len(times))
    mixed = learn(layout, [v[shuffled] if isinstance(v, np.ndarray) else [v[i] for i in shuffled] for v in values],
                  times[shuffled], (3600.0,))  # fmt: skip
    assert mixed == learn(layout, values, times, (3600.0,))


def test_a_profile_is_the_same_with_what_is_usual_and_an_old_one_is_read() -> None:
    times, columns = days(6, 8)
    layout = layout_for(columns)
    usual = learn(layout, list(columns.values()), times, (3600.0,))
    assert usual is not None
    profile = with_identity(layout.profile)
    learned = with_identity(replace(profile, usual=usual))
    assert learned.usual == usual
    assert learned.profile_id == profile.profile_id
    raw = msgspec.to_builtins(learned)
    assert msgspec.json.decode(msgspec.json.encode(learned), type=Profile) == learned
    del raw["usual"]
    assert msgspec.convert(raw, Profile) == profile
