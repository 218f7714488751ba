"""What an alert says beside what it is about: how the model performs, or what has drifted."""

from __future__ import annotations

import msgspec

from app.alerting.events.related_window import RelatedWindows, evidence_of_related, noted, related_to
from app.alerting.events.text import line_of
from tests.support.reports import drift_report, feature, metric, performance_report
from topics.events import AnyReport, DriftReport, PerformanceReport

SEX = feature("sex")
KNOWN_UNTIL = "How the model performs is as of the window "


def after(*reports: DriftReport | PerformanceReport) -> RelatedWindows | None:
    """What is known after these; kept as the table keeps it."""
    known: RelatedWindows | None = None
    for report in reports:
        known = noted(known, report)
        known = msgspec.json.decode(msgspec.json.encode(known), type=RelatedWindows)
    return known


def lines_beside(report: AnyReport, known: RelatedWindows | None) -> list[str]:
    """What an alert says of it."""
    related = related_to(report, known)
    return [] if related is None else [line_of(one, related) for one in related.facts]


def evidence_beside(report: AnyReport, known: RelatedWindows | None) -> dict[str, object]:
    return evidence_of_related(report, related_to(report, known))


def test_drift_tells_how_the_model_performs_and_in_which_window() -> None:
    known = after(performance_report(0, metric("recall", 0.2), metric("accuracy", 0.01)))
    report = drift_report(1, features=[feature("age", 0.5), SEX])
    assert lines_beside(report, known) == [
        (
            KNOWN_UNTIL + "2017-04-30 20:00 UTC to 2017-05-01 00:00 UTC: "
            "the truth of 900 of 1,000 predictions is known (90%)."
        ),
        "recall 0.64 (95 % interval 0.63 to 0.65), baseline 0.8: 20.0% worse (threshold 5.0%)",
        "accuracy 0.792 (95 % interval 0.782 to 0.802), baseline 0.8: 1.0% worse (threshold 5.0%)",
    ]
    assert [one.name for one in evidence_beside(report, known)["metrics"]] == ["recall", "accuracy"]  # type: ignore[attr-defined]


def test_performance_tells_what_has_drifted_the_worst_first() -> None:
    known = after(drift_report(1, features=[feature("income", 0.2), feature("age", 0.5), SEX]))
    report = performance_report(1, metric("recall", 0.2))
    assert lines_beside(report, known) == [
        "2 of its 3 features differ from the reference in the window 2017-04-30 21:00 UTC to 2017-05-01 01:00 UTC.",
        "age: ks 0.5 (threshold 0.1, p < 1e-12), higher, median 40 -> median 480",
        "income: ks 0.2 (threshold 0.1, p < 1e-12), higher, median 40 -> median 480",
    ]
    calm = lines_beside(report, after(drift_report(1, features=[feature("age"), SEX])))
    assert calm[0].startswith("None of its 2 features differs from the reference")
    assert len(calm) == 1


def test_without_enough_truth_it_says_so_and_what_is_estimated() -> None:
    few = performance_report(0, metric("recall", 0.9), sufficient=False, feedback=12, coverage=0.012)
    guess = msgspec.structs.replace(few, estimated=(metric("accuracy", 0.1),))
    report = drift_report(0, features=[feature("age", 0.5)])
    assert lines_beside(report, after(guess)) == [
        "How the model performs is not known yet: the truth of 12 of 1,000 predictions has come (1%).",
        (
            "Estimated without the truth: accuracy 0.72 (95 % interval 0.71 to 0.73), baseline 0.8: 10.0% worse "
            "(threshold 5.0%)."
        ),
    ]
    assert evidence_beside(report, after(few))["metrics"] == ()


def test_truth_of_a_window_that_is_long_past_comes_with_the_estimate_of_now() -> None:
    old = performance_report(0, metric("recall", 0.2))
    new = performance_report(9, metric("recall", 0.9), sufficient=False, estimated=(metric("accuracy", 0.1),))
    told = lines_beside(drift_report(9), after(old, new))
    assert told[0].startswith(KNOWN_UNTIL + "2017-04-30 20:00")
    assert told[1].startswith("Estimated without the truth: accuracy 0.72")
    assert len(lines_beside(drift_report(2), after(old, new))) == 2, "of a window that overlaps it, the truth is enough"


def test_what_is_older_changes_nothing_and_another_profile_begins_anew() -> None:
    newest = after(drift_report(5, features=[feature("age", 0.5)]), performance_report(5, metric("recall", 0.2)))
    again = after(
        drift_report(5, features=[feature("age", 0.5)]), performance_report(5, metric("recall", 0.2)),
        drift_report(4), performance_report(4), drift_report(6, sufficient=False),
    )  # fmt: skip
    assert again == newest
    other = performance_report(7, metric("recall", 0.2), profile_id="def")
    assert lines_beside(other, newest) == []
    assert evidence_beside(other, newest) == {}
    assert lines_beside(other, noted(newest, other)) == []


def test_a_state_of_an_older_release_is_read_without_its_lines_of_causes() -> None:
    known = after(drift_report(1, features=[feature("age", 0.5), SEX]))
    older = msgspec.to_builtins(known)
    older["drift"] = {**older["drift"], "causes": ["Likely cause: age: a line of text."]}
    del older["drift"]["likely_causes"]
    assert msgspec.json.decode(msgspec.json.encode(older), type=RelatedWindows) == known
