"""The lifecycle against a brute-force oracle that remembers everything."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import NamedTuple

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from app.alerting.rules.lifecycle import RuleState, Transition, alert_id_of, fingerprint_of, labels_of, ring_size, step
from app.alerting.rules.model_rules import Verdict, VerdictState
from app.core.config.monitoring import Rule

STATES: tuple[VerdictState, ...] = ("breach", "clear", "between", "insufficient")


class Told(NamedTuple):
    """One report, as far as the lifecycle sees it."""

    window: int
    revision: int
    state: VerdictState
    severe: bool = False


def play(told: list[Told], rule: Rule, state: RuleState | None = None) -> tuple[RuleState, list[Transition]]:
    state = state or RuleState()
    transitions = []
    for report in told:
        verdict = Verdict("r", "s", report.state, severe=report.severe and report.state == "breach")
        state, transition = step(state, verdict, float(report.window), report.revision, rule)
        if transition is not None:
            transitions.append(transition)
    return state, transitions


def oracle(told: list[Told], rule: Rule) -> list[tuple[str, float, float, float | None, bool]]:
    """Every window's newest verdict for ever; after each report the row at the newest end, read off as words."""
    newest: dict[int, tuple[int, VerdictState, bool]] = {}
    started: float | None = None
    critical = False
    found: list[tuple[str, float, float, float | None, bool]] = []
    for window, revision, state, severe in told:
        if state == "off":
            newest = {known: (entry[0], "off", False) for known, entry in newest.items()}
            if started is not None:
                end = float(max(window, *newest))
                found.append(("resolved", end, started, max(end, started), critical))
                started, critical = None, False
            continue
        if window in newest and revision <= newest[window][0]:
            continue
        if window not in newest and state == "insufficient":
            continue
        newest[window] = (revision, state, severe and state == "breach")
        judged = [(w, s) for w, (_, s, _) in sorted(newest.items()) if s != "insufficient"]
        if not judged:
            continue
        rows = [(s, [w for w, _ in row]) for s, row in groupby(judged, key=lambda pair: pair[1])]
        last_state, row = rows[-1]
        very_bad = [newest[w][2] for w, _ in judged][-rule.for_windows :]
        all_severe = len(very_bad) == rule.for_windows and all(very_bad)
        if started is None and last_state == "breach" and len(row) >= rule.for_windows:
            started, critical = float(row[0]), all_severe
            found.append(("firing", float(row[-1]), started, None, critical))
        elif started is not None and last_state == "clear" and len(row) >= rule.clear_windows:
            found.append(("resolved", float(row[-1]), started, max(float(row[0]), started), critical))
            started, critical = None, False
        elif started is not None and not critical and all_severe:
            critical = True
            found.append(("firing", float(row[-1]), started, None, True))
    return found


rules = st.builds(Rule, for_windows=st.integers(1, 4), clear_windows=st.integers(1, 4))
reports = st.builds(Told, st.integers(0, 10_000), st.integers(0, 3), st.sampled_from(STATES), st.booleans())


@st.composite
def streams(draw: st.DrawFn) -> list[Told]:
    """Windows in rising order, issued again within the last few, out of order and repeated."""
    told: list[Told] = []
    for window in range(draw(st.integers(1, 30))):
        steps_back = [0, *draw(st.lists(st.integers(0, 5), max_size=3))]
        told += [
            Told(max(0, window - back), draw(st.integers(0, 3)), draw(st.sampled_from(STATES[:3])), draw(st.booleans()))
            for back in steps_back
        ]
    return told


@given(streams(), rules)
def test_fires_and_resolves_as_the_oracle_that_forgets_nothing(told: list[Told], rule: Rule) -> None:
    found = [(t.status, t.window_end, t.started_at, t.ended_at, t.severe) for t in play(told, rule)[1]]
    expected = oracle(told, rule)
    assert [(*f[:2], f[4]) for f in found] == [(*e[:2], e[4]) for e in expected]
    remembered = ring_size(rule)
    for mine, truth in zip(found, expected, strict=True):
        # The row may reach further back than the memory: then it is said to have begun at its oldest window.
        assert mine[2] == truth[2] or (mine[2] > truth[2] and mine[1] - truth[2] >= remembered)
        assert mine[3] == truth[3] or (mine[3] or 0.0) >= (truth[3] or 0.0)


any_state = st.sampled_from((*STATES, "breach", "clear", "off"))


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3), any_state, st.booleans()), max_size=80), rules)
def test_few_windows_in_any_order_with_insufficient_ones_match_the_oracle_exactly(
    raw: list[tuple[int, int, VerdictState, bool]], rule: Rule
) -> None:
    told = [Told(*fields) for fields in raw]  # nine windows at most: all of them are remembered
    transitions = play(told, rule)[1]
    assert [(t.status, t.window_end, t.started_at, t.ended_at, t.severe) for t in transitions] == oracle(told, rule)
    assert len({alert_id_of("f", t) for t in transitions}) == len(transitions)


@given(st.lists(reports, max_size=60), rules)
def test_transitions_alternate_have_ids_of_their_own_and_end_after_they_start(told: list[Told], rule: Rule) -> None:
    _, transitions = play(told, rule)
    for before, after in pairwise(transitions):
        raised = before.status == after.status == "firing" and after.severe and not before.severe
        assert raised or before.status != after.status
        assert before.status != "firing" or after.started_at == before.started_at
    assert len({alert_id_of("f", t) for t in transitions}) == len(transitions)
    assert all(t.ended_at is None or t.ended_at >= t.started_at for t in transitions)


@given(streams(), rules)
@example([Told(0, 1, "breach"), Told(0, 2, "clear"), Told(0, 3, "breach")], Rule(for_windows=1, clear_windows=1))
def test_ids_are_unique_though_one_window_turns_twice(told: list[Told], rule: Rule) -> None:
    _, transitions = play(told, rule)
    assert len({alert_id_of("f", t) for t in transitions}) == len(transitions)


@given(streams(), rules, st.data())
def test_reports_read_again_change_nothing(told: list[Told], rule: Rule, data: st.DataObject) -> None:
    state, transitions = play(told, rule)
    assert play(told, rule) == (state, transitions)
    known = {entry.window_end: entry.revision for entry in state.ring}
    stale = [t for t in told if t.window < state.ring[0].window_end or t.revision <= known.get(t.window, -1)]
    repeated = data.draw(st.lists(st.sampled_from(stale), max_size=20)) if stale else []
    if len(state.ring) == ring_size(rule):
        assert play(repeated, rule, state) == (state, [])


@given(streams(), rules, st.integers(0, 120))
def test_state_survives_its_serialisation_at_any_point(told: list[Told], rule: Rule, cut: int) -> None:
    state, before = play(told[:cut], rule)
    restored = msgspec.json.decode(msgspec.json.encode(state), type=RuleState)
    assert restored == state
    after_state, after = play(told[cut:], rule, restored)
    assert (after_state, before + after) == play(told, rule)
    assert len(after_state.ring) <= ring_size(rule)


def test_insufficient_windows_between_breaches_are_stepped_over() -> None:
    rule = Rule(for_windows=2)
    _, found = play([Told(1, 1, "breach"), Told(2, 1, "insufficient"), Told(3, 1, "breach")], rule)
    assert [(t.status, t.started_at, t.window_end) for t in found] == [("firing", 1.0, 3.0)]


def test_a_verdict_taken_back_as_insufficient_no_longer_breaks_the_row() -> None:
    rule = Rule(for_windows=2)
    told = [Told(1, 1, "breach"), Told(2, 1, "clear"), Told(2, 2, "insufficient"), Told(3, 1, "breach")]
    _, found = play(told, rule)
    assert [(t.status, t.started_at, t.window_end) for t in found] == [("firing", 1.0, 3.0)]


def test_a_value_between_the_thresholds_breaks_the_row_and_resolves_nothing() -> None:
    rule = Rule(for_windows=2, clear_windows=2)
    row: list[VerdictState] = ["breach", "between", "breach", "breach", "clear", "between", "clear", "clear"]
    _, found = play([Told(i, 1, state) for i, state in enumerate(row)], rule)
    assert [(t.status, t.window_end) for t in found] == [("firing", 3.0), ("resolved", 7.0)]


def test_late_truth_fires_for_the_windows_it_belongs_to() -> None:
    rule = Rule(for_windows=2)
    waiting = [Told(i, 1, "insufficient") for i in range(50)]
    _, found = play([*waiting, Told(0, 2, "breach"), Told(1, 2, "breach")], rule)
    assert [(t.status, t.started_at, t.window_end) for t in found] == [("firing", 0.0, 1.0)]


def test_a_correction_takes_an_alert_back() -> None:
    rule = Rule(for_windows=2, clear_windows=2)
    told = [Told(1, 1, "breach"), Told(2, 1, "breach"), Told(1, 2, "clear"), Told(2, 2, "clear")]
    _, found = play(told, rule)
    assert [(t.status, t.started_at, t.ended_at) for t in found] == [("firing", 1.0, None), ("resolved", 1.0, 1.0)]


def test_a_window_that_is_forgotten_cannot_come_back() -> None:
    rule = Rule(for_windows=1, clear_windows=1)
    state, _ = play([Told(i, 1, "clear") for i in range(40)], rule)
    assert play([Told(3, 9, "breach")], rule, state) == (state, [])


def test_fingerprints_know_every_label_and_not_their_order() -> None:
    labels = labels_of("income", "3", Verdict("data_drift", "features", "breach"))
    fingerprint = fingerprint_of(labels)
    assert fingerprint == fingerprint_of(dict(reversed(labels.items())))
    others = {fingerprint_of(labels | {name: "other"}) for name in labels}
    assert len(others | {fingerprint}) == len(labels) + 1


def test_switched_off_while_it_fires_resolves_and_forgets_what_was_bad() -> None:
    rule = Rule(for_windows=2)
    bad = [Told(i, 1, "breach") for i in range(3)]
    state, found = play([*bad, Told(3, 1, "off"), Told(4, 1, "off")], rule)
    assert [(t.status, t.started_at, t.window_end, t.ended_at) for t in found] == [
        ("firing", 0.0, 1.0, None), ("resolved", 0.0, 3.0, 3.0),
    ]  # fmt: skip
    _, later = play([Told(5, 1, "breach")], rule, state)
    assert later == []
    _, later = play([Told(5, 1, "breach"), Told(6, 1, "breach")], rule, state)
    assert [(t.status, t.started_at) for t in later] == [("firing", 5.0)]


def test_a_rule_that_was_never_on_keeps_no_state() -> None:
    state = RuleState()
    assert step(state, Verdict("r", "s", "off"), 1.0, 1, Rule())[0] is state


def test_an_alert_that_gets_severe_is_told_once_more_and_stays_critical_until_it_is_resolved() -> None:
    rule = Rule(for_windows=2, clear_windows=1)
    severe = (False, False, True, True, True, False)
    row = [Told(i, 1, "breach", bad) for i, bad in enumerate(severe)]
    _, found = play([*row, Told(6, 1, "clear"), Told(7, 1, "breach"), Told(8, 1, "breach")], rule)
    assert [(t.status, t.window_end, t.started_at, t.severe) for t in found] == [
        ("firing", 1.0, 0.0, False), ("firing", 3.0, 0.0, True), ("resolved", 6.0, 0.0, True),
        ("firing", 8.0, 7.0, False),
    ]  # fmt: skip


def test_what_the_newest_panes_decide_fires_at_once_with_its_change_point_and_ends_as_all_do() -> None:
    rule = Rule(for_windows=3, clear_windows=2)
    state, changes = RuleState(), list[Transition]()
    told: list[tuple[VerdictState, bool]] = [
        ("clear", False), ("breach", True), ("breach", False), ("clear", True), ("clear", False), ("breach", False),
    ]  # fmt: skip
    for window, (said, sure) in enumerate(told):
        verdict = Verdict("r", "s", said, sure=sure, since=0.25 if said == "breach" and sure else None)
        state, change = step(state, verdict, float(window), 1, rule)
        state = msgspec.json.decode(msgspec.json.encode(state), type=RuleState)  # as it is kept
        changes += [] if change is None else [change]
    assert [(one.status, one.window_end, one.started_at, one.ended_at) for one in changes] == [
        ("firing", 1.0, 0.25, None), ("resolved", 4.0, 0.25, 3.0),
    ]  # fmt: skip


def test_a_state_of_an_older_version_is_read() -> None:
    old = b'{"ring":[[1.0,1,"breach",false]],"firing":false,"started_at":null,"severe":false,"last":null}'
    assert msgspec.json.decode(old, type=RuleState).ring[0].sure is False
