"""What may be committed of a partition's runs, against a model that looks at every record."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.faust_batches.commit_ledger import CommitLedger

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("deliver"), st.integers(1, 5), st.integers(0, 3)),
        st.tuples(st.just("again"), st.integers(0, 30), st.just(0)),
        st.tuples(st.just("ack"), st.integers(0, 30), st.just(0)),
        st.tuples(st.just("commit"), st.just(0), st.just(0)),
    ),
    max_size=60,
)


@given(STEPS)
def test_nothing_is_committed_before_all_that_was_delivered_below_it_is_finished(
    steps: list[tuple[str, int, int]],
) -> None:
    ledger = CommitLedger()
    runs: list[range] = []  # gaps between them: compaction
    finished: set[int] = set()  # offsets
    committed = 0
    for step, number, gap in steps:
        if step == "deliver":
            start = (runs[-1].stop if runs else 0) + gap
            runs.append(range(start, start + number))
            ledger.delivered(runs[-1][-1])
        elif step == "again" and runs and runs[number % len(runs)].stop > committed:
            ledger.delivered(runs[number % len(runs)][-1])
        elif step == "ack" and runs:
            run = runs[number % len(runs)]
            assert ledger.acked(run[-1]) == finished.isdisjoint(run)
            finished.update(run)
        elif step == "commit":
            unfinished = [offset for run in runs for offset in run if offset not in finished]
            below = [run.stop for run in runs if not unfinished or run.stop <= unfinished[0]]
            offset = below[-1] if below and below[-1] > committed else None
            assert ledger.committable() == offset
            committed = offset or committed
    assert len(ledger) == sum(run.stop > committed for run in runs)


def test_a_run_that_was_not_delivered_here_is_not_waited_for() -> None:
    ledger = CommitLedger()
    assert not ledger.acked(9)
    ledger.delivered(19)
    assert not ledger.acked(9)
    assert ledger.committable() is None
    assert ledger.acked(19)
    assert ledger.committable() == 20
    assert ledger.committable() is None
