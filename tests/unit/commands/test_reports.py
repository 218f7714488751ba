"""A report in one line says what is not in its numbers."""

from __future__ import annotations

from app.commands.reports import line_of
from tests.support.reports import drift_report, feature, metric, performance_report


def test_a_line_says_what_its_numbers_leave_out() -> None:
    spoilt = drift_report(
        features=[feature("age", missing=70, invalid=2), feature("size", missing=7, out_of_range=3), feature("calm")],
        left_out={"late": 12}, unknown_features={"agee": 5},
    )  # fmt: skip
    line = line_of(spoilt)
    for words in (
        "missing: age 70, size 7", "invalid: age 2", "out of range: size 3", "unknown features: agee 5",
        "left out: late 12",
    ):  # fmt: skip
        assert f"  {words}  " in line
    assert "unseen" not in line
    calm = line_of(drift_report())
    assert not any(words in calm for words in ("missing", "invalid", "left out", "unknown"))


def test_performance_that_was_not_judged_is_not_said_to_be_not_degraded() -> None:
    reason = "no baseline: the reference has no truth"
    bare = metric("accuracy", baseline=None, relative=0.0, judged=False, reason=reason)
    line = line_of(performance_report(0, bare, judged=False, reason=reason))
    assert f"not judged: {reason}" in line
    assert "not degraded" not in line
    some = line_of(performance_report(0, metric("accuracy"), metric("r2", judged=False, reason="undefined")))
    assert "not degraded" in some
    assert "r2 0.800 (not judged: undefined)" in some
    unknown = line_of(performance_report(0, unknown_actuals={"d": 369}, left_out={"truth without a prediction": 4}))
    assert "41 % of the truth is `d`, which the reference does not have" in unknown
    assert "left out: truth without a prediction 4" in unknown
