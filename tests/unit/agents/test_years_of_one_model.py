"""Years of one quiet model: topic, tables, memory and a restart are no larger than after days."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import astuple
from itertools import chain
from zlib import crc32

import msgspec
import pytest

from app.core.config.monitoring import DriftThresholds, Windows
from app.core.evaluation.results import PaneScales
from app.core.panes.pane import Pane
from app.core.reference.layout import Layout
from app.core.scales import newest_truth
from app.core.scales.blocks import Older
from app.core.windows import model_windows
from tests.support.year_world import BEGIN, DAY, PANE, SOURCES, VERSIONS, Killed, World, profile_of
from topics.events import AnyReport

VERSION, OTHER, THIRD, FOURTH = VERSIONS

MOST_KNOWN = 20_000
"""Decisions that are remembered."""
SHORT = Windows(panes=1, retention=600.0, longest=60.0)


@pytest.fixture(autouse=True)
def judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge windows of the same counts once: the decisions are pure, and cost more than all else."""
    known: dict[object, tuple[object, object]] = {}  # with the arguments, so that no id is another's

    def memo(name: str) -> None:
        decide = getattr(model_windows, name)

        def decided(*args: object) -> object:
            panes = [(p.n, p.indices.tobytes(), p.counts.tobytes(), p.sums.tobytes(), repr(p.names)) for p in args
                     if isinstance(p, Pane)]  # fmt: skip
            others = (arg for arg in args if not isinstance(arg, Pane))
            key = (name, tuple(panes), *(arg if isinstance(arg, float) else id(arg) for arg in others))
            if key not in known:
                if len(known) >= MOST_KNOWN:
                    known.clear()
                known[key] = decide(*args), args
            return known[key][0]

        monkeypatch.setattr(model_windows, name, decided)

    memo("drift_decision")
    memo("performance_decision")

    def judged(
        layout: Layout, panes: Mapping[int, Pane], end: int, *args: object, most: int, older: Older
    ) -> PaneScales:
        held = chain(panes.items(), older.panes.items())
        ages = [(end - at, one.n, crc32(one.indices.tobytes() + one.counts.tobytes())) for at, one in held]
        return PaneScales(spans=(most, *older.spans, *chain(*ages)), chance=0.0)  # what would be judged

    monkeypatch.setattr(model_windows, "judge_scales", judged)


def serve_whatever_dies(world: World, seconds: int, deaths: list[int]) -> None:
    """Serve, with workers that die now and then: at a tombstone, or between two reads."""
    world.deletions = deaths.pop() if deaths else 1 << 60
    try:
        world.serve(seconds, VERSION)
    except Killed:
        world.deletions = 1 << 60
        world.restart()
        world.read()
    if world.rng.random() < 0.1:
        world.restart()
        world.read()
    if world.rng.random() < 0.5:
        world.compact()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("windows", "step"),
    [
        pytest.param(SHORT, 300, id="a retention of ten minutes"),
        pytest.param(Windows(), 12 * 3600, id="of a week", marks=[pytest.mark.long, pytest.mark.timeout(4 * 3600)]),
    ],
)
def test_panes_of_52_retentions_are_no_more_than_those_of_some(windows: Windows, step: int) -> None:
    """A pane a minute; a retention is a week by default, so 52 of them are a year (about an hour of CPU).

    In that case the topic has 36,064 records after 10 days, 43,128 after 12 and 37,170 after 15.
    """
    world = World(windows)
    week = round(windows.retention)
    deaths = [world.rng.randrange(200) if world.rng.random() < 0.3 else 1 << 60 for _ in range(52 * week // step)]
    early: list[tuple[int, ...]] = []
    late: list[tuple[int, ...]] = []
    for begun in range(0, 52 * week, step):
        serve_whatever_dies(world, step, deaths)
        (early if begun < 26 * week else late).append(astuple(world.sizes()))
    world.restart()
    world.read()
    then, now = ([max(column) for column in zip(*sizes, strict=True)] for sizes in (early, late))
    assert all(size <= 1.05 * before + 3 for before, size in zip(then, now, strict=True))
    # a retention, a third of it until the next sweep, what windows reach back, and what was made since
    kept = round((windows.retention * 4 / 3 + 12 * windows.panes * PANE + 2 * step) / PANE)
    kept += min(newest_truth.MOST_KEPT // SOURCES, windows.most_panes)  # those whose truth is judged, two a pane
    assert max(size[0] for size in late) <= 3 * kept + 2  # two partitions' inputs, and truth for every second
    assert max(size[2] for size in late) <= kept + 1
    assert (world.wrong_panes(), world.wrong_reports(), world.rejected) == ([], [], [])


def versions_in(world: World) -> set[bytes]:
    """The versions and profiles that have keys in the topic."""
    return {b"/".join(key.split(b"/")[1:3]) for key, record in world.panes.items() if record.value is not None}


def names_in(world: World) -> set[str]:
    """The versions and profiles that the windows' table has."""
    return {"/".join(name.removeprefix("@forgotten ").split("/")[1:3]) for name in world.tables["windows"]}


@pytest.mark.slow
@pytest.mark.parametrize("restarted", [False, True])
def test_nothing_is_left_of_what_has_stopped_was_registered_anew_or_is_gone(restarted: bool) -> None:
    world = World(SHORT)
    stopped, replaced, gone = world.models["quiet", OTHER], profile_of(THIRD), profile_of(FOURTH)
    world.models["quiet", THIRD], world.models["quiet", FOURTH] = map(world.watched, (replaced, gone))
    world.serve(1200, VERSION, OTHER, THIRD, FOURTH)
    world.register(THIRD, seed=1)
    world.unregister(FOURTH)
    assert len(versions_in(world)) == 4
    for day in range(10):
        world.serve(DAY, VERSION, every=6 * 3600)
        if restarted and day % 3 == 1:
            world.restart()
            world.read()
            world.compact()
    counted = {at[0] for at in world.counted()}
    assert counted == {VERSION}
    kept = f"{OTHER}/{stopped.profile.profile_id}"
    current = f"{VERSION}/{world.models['quiet', VERSION].profile.profile_id}"
    assert versions_in(world) == {current.encode(), kept.encode()}  # how far its partitions are, since it is registered
    assert names_in(world) == {current, kept}
    assert world.sizes().join <= 30
    states = [world.join._source(partition).state for partition in range(2)]
    pending = {state.watched[number].profile.model_version for state in states for number in state.rows["model"]}
    assert pending == {VERSION}
    assert {name for name, _ in world.agent._parts[0].models.items()} <= {
        ("quiet", *name.split("/")) for name in (current, kept)
    }


def test_a_replay_that_goes_on_after_a_long_pause_is_counted_and_what_is_older_is_rejected() -> None:
    world = World(SHORT)
    then = round(world.clock)
    world.serve(1200, OTHER)
    for _ in range(4):
        world.serve(DAY, VERSION, every=6 * 3600)
    world.predict(then + 1100, 0, OTHER)
    world.read()
    assert [one.reason for one in world.rejected] == ["late: older than this model's lateness allows"]
    world.made[OTHER, "input", (then + 1100) // PANE] -= 1
    world.serve(1200, OTHER, event_time=then + 1260)
    assert world.wrong_reports() == []
    newest = max(at[2] for at in world.counted() if at[0] == OTHER)
    assert newest == (then + 1260 + 1140) // PANE


def test_panes_are_kept_until_the_slowest_source_partition_is_beyond_them() -> None:
    world = World(SHORT)
    world.serve(600, VERSION)
    world.serve(7200, VERSION, partitions=[0])
    before = round(world.clock - 7200) // PANE
    early = {at for at in world.made if at[2] < before and at[1] == "input"}
    assert early
    assert early <= world.counted().keys()
    world.serve(600, VERSION)
    assert early.isdisjoint(world.counted())


@pytest.mark.slow
def test_a_pane_that_a_lingering_worker_publishes_after_its_deletion_is_deleted_again() -> None:
    world = World(SHORT)
    world.serve(600, VERSION)
    old = next(record for record in world.panes.values() if b"/input/" in (record.key or b""))
    world.serve(3600, VERSION)
    assert old.key is not None
    assert world.panes[old.key].value is None
    world._take(old.key, old.value)
    world.judge()
    assert world.panes[old.key].value is None
    assert world.wrong_reports() == []


THIN = Windows(panes=3, retention=600.0, longest=6 * 3600.0)
NEEDED = 60
"""Predictions that a window needs: at 80 an hour those of 45 minutes, beyond what records and windows reach."""


def served_thinly(*, dying: bool) -> tuple[World, list[tuple[int, ...]]]:
    """Serve 80 predictions an hour for days, with pauses. Returns the world and its sizes as time goes by."""
    world, deaths = World(THIN, DriftThresholds(min_samples=NEEDED)), random.Random(2)
    sizes = []
    for step in range(36):
        world.clock = BEGIN + step * 1860.0  # the same of each world, however often it was read
        every = world.rng.choice([90, 90, 90, 90, 450, 1800])
        if dying:
            world.deletions = deaths.randrange(40) if deaths.random() < 0.3 else 1 << 60
        try:
            world.serve(1800, VERSION, every=every)
        except Killed:
            world.deletions = 1 << 60
            world.restart()
            world.read()
        if dying and step % 3 == 1:
            world.restart()
            world.compact()
            world.read()
        sizes.append(astuple(world.sizes()))
    return world, sizes


@pytest.mark.slow
def test_thin_windows_reach_back_to_what_is_kept_and_no_more_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest_truth, "ENOUGH", 200)  # rows with truth: 10,000 would be all that these days have
    going, _ = served_thinly(dying=False)
    dying, sizes = served_thinly(dying=True)
    assert (dying.wrong_panes(), dying.wrong_reports(), dying.rejected) == ([], [], [])
    starts = [at - round(report.window_start.timestamp()) // PANE for (_, kind, at), report in dying.issued.items()
              if kind == "drift"]  # fmt: skip
    assert max(starts) > 13 * THIN.panes  # they did reach back to panes that are forgotten
    assert max(starts) < THIN.most_panes
    said = [
        {at: without_time(report) for at, report in world.issued.items() if at[1] != "traffic"}
        for world in (dying, going)
    ]
    assert said[0] == said[1]
    # (traffic's reports say what feedback had come by then)
    windows = dying.agent._parts[0].models["quiet", VERSION, dying.models["quiet", VERSION].profile.profile_id]
    assert windows.first - windows.forgotten > 13 * THIN.panes
    # at most a pane a row that is needed, in two partitions with truth, and what records and windows reach
    most = 3 * (NEEDED + (600 + 36 * PANE + 2 * 1800) // PANE)
    early, late = sizes[8:22], sizes[22:]
    assert max(size[0] for size in late) <= min(most, 1.1 * max(size[0] for size in early))
    assert max(size[4] for size in late) <= min(most, 1.1 * max(size[4] for size in early))
    for _ in range(18):
        dying.serve(600, VERSION, every=20)
    assert (
        windows.first - windows.forgotten <= 200 // 2 + 10
    )  # there are rows enough, and truth: 200, two a pane at least
    assert dying.wrong_reports() == []


def without_time(report: AnyReport) -> object:
    """A report but for when it was made, and what no window counts by then."""
    found = msgspec.to_builtins(report)
    return {name: value for name, value in found.items() if name not in {"revision", "emitted_at", "left_out"}}
