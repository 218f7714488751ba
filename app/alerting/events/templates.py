"""Wording of alerts: a template for each kind of headline and of fact.

Templates have these formats in addition to Python's own: `time` and `span` of seconds, and `days`. `names` gives the
first of several names and the number of the others; `s` gives a plural's ending. Sentences with parts that may be
missing are in `sentences.py`.
"""

from __future__ import annotations

PROBLEMS = {
    "missing": "missing values", "unseen": "unseen categories", "unknown": "unknown features",
    "type": "values of the wrong type",
}  # fmt: skip
RISES = {"missing": "without a value", "unseen": "with an unseen category", "type": "with a value of the wrong type"}

TITLE_NOTES = {"flapping": " (flapping)", "settled": " (settled)"}
"""Text that a note adds to the title."""

SUBJECT_HEADLINES = {
    "drifted": ("{subject} has drifted", "{subject} have drifted"),
    "drift_over": ("{subject} no longer drifts", "{subject} no longer drift"),
    "worse": ("{subject} has got worse", "{subject} have got worse"),
    "much_worse": ("{subject} has got much worse", "{subject} have got much worse"),
    "as_before": ("{subject} is as good as before again", "{subject} are as good as before again"),
    "below_estimate": ("{subject} is worse than estimated", "{subject} are worse than estimated"),
    "as_estimated": ("{subject} is as estimated again", "{subject} are as estimated again"),
    "unwatched": ("{subject} is no longer watched", "{subject} are no longer watched"),
    "too_high": ("{subject} is too high", "{subject} are too high"),
    "as_it_should": ("{subject} is as it should be again", "{subject} are as it should be again"),
}
"""Headlines about one subject, and about several together."""

HEADLINES = {
    "text": "{text}",
    "data_drift": "data drift in {drifted} of {features} features ({names:names})",
    "data_drift_unnamed": "data drift in {drifted} of {features} features",
    "data_drift_over": "data drift is over",
    "prediction_drift": "its predictions have drifted",
    "prediction_drift_over": "prediction drift is over",
    "bad_data": "bad data, {problem} in {columns:names}",
    "bad_data_unnamed": "bad data, {problem}",
    "bad_data_over": "bad data is over, {problem}",
    "not_judged": "not judged since {since:time}",
    "judged_again": "its predictions are judged again",
    "rule_unwatched": "{rule} is no longer watched",
    "no_predictions": "no predictions come any more",
    "predictions_again": "predictions come again",
    "predictions_dropped": "predictions have dropped suddenly",
    "predictions_steady": "the volume of predictions is steady again",
    "no_feedback": "no feedback comes any more",
    "feedback_again": "feedback comes again",
    "less_feedback": "fewer predictions get their feedback",
    "feedback_as_usual": "as many predictions get their feedback again",
    "feedback_too_late": "feedback comes too late to be counted",
    "feedback_in_time": "feedback comes in time again",
    "dead_letters": "{share:.0%} of its newest {topic} are dead letters",
    "dead_letters_over": "its {topic} can be counted again",
    "unregistered": "{share:.0%} of the newest {topic} are of model versions that are not registered",
    "unregistered_over": "{topic} are of registered model versions again",
    "unmatched": "{share:.0%} of the newest feedback has no prediction",
    "unmatched_over": "feedback has its predictions again",
    "stream_stopped": "driftline has stopped: {topic} cannot be read",
    "stream_goes_on": "driftline continues: {topic} is read again",
}

FACTS = {
    "text": "{text}",
    # The alert
    "flapping": (
        "It has fired more than {most} times within an hour. It is reported again when it has neither fired nor been "
        "resolved for an hour."
    ),
    "settled": "It was flapping, and has neither fired nor been resolved for an hour.",
    "since": "Since {start:time}.",
    "ended": "From {start:time} to {end:time} ({lasted:span}).",
    "window": "Seen in the window {start:time} to {end:time}: {n:,} prediction{n:s}.",
    "records": "Seen from {start:time} to {end:time}: {n:,} records read.",
    "closed": "Closed, because {reason}.",
    "owner": "Owner: {owner}.",
    "silence": "Silence it: {command}",
    "link": "{name}: {address}",
    # Causes
    "cause": "Likely cause: {name}: {words}.",
    "more_causes": "Likely causes of {count} more features are in the report.",
    "no_feature_differs": (
        "No feature differs from the reference: look at the model itself first (a new deployment, its threshold, "
        "what it reads beside these features)."
    ),
    # Drift
    "drift_share": (
        "{drifted} of {features} features differ from the reference ({share:.0%}, threshold {threshold:.0%})."
    ),
    "more_columns": "and {count} more",
    "chance_of_window": "Chance brings that in less than one window of {windows:,.0f}.",
    "judged": "{n:,} predictions were judged.",
    "unjudged_share": "{share:.0%} of the features' values are of the wrong type, or unexpectedly missing.",
    "plan": "What would be found at a rate, and how soon: driftline plan --rate 80/h.",
    # Performance
    "critical": "Critical: {name} is more than {degradation:.1%} worse than its baseline.",
    "truth": "The truth of {feedback:,} of {n:,} predictions is known ({coverage:.0%}).",
    "unjudged_metrics": "Not judged: {metrics:names}.",
    # The other report
    "performance": (
        "How the model performs is as of the window {start:time} to {end:time}: "
        "the truth of {feedback:,} of {n:,} predictions is known ({coverage:.0%})."
    ),
    "performance_unknown": (
        "How the model performs is not known yet: "
        "the truth of {feedback:,} of {n:,} predictions has come ({coverage:.0%})."
    ),
    # Traffic and feedback
    "silent": "None in the last {silent:span}; usually there are {usual:.4g} in {pane:span}.",
    "missed": "By {days:days}, {missed:,.4g} would have come since.",
    "missed_of_rate": "By a tenth of the rate before, while no day is known, {missed:,.4g} would have come since.",
    "volume_by_days": "{recent:,} in the last {span:span}; {expected:,.4g} or more in {days:days}.",
    "volume_of_rate": (
        "{recent:,} in the last {span:span}; {expected:,.4g} are a tenth of the rate before, "
        "which counts while no day is known."
    ),
    "volume_before": "{recent:,} in the last {span:span}; {expected:,.4g} in as long before that.",
    "chance_of_rate": "At the usual rate chance brings that less than once in {times:,.0f} times.",
    "feedback_silent": "None for {silent:span}; the longest of its last {pauses} pauses was {longest:span}.",
    "feedback_coverage": (
        "Of the window before this one so many have their feedback: {coverage:.0%}; usual are {usual:.0%}."
    ),
    "feedback_waiting": "Feedback whose prediction has not come (are the ids the same?): {waiting:,}.",
    "too_late": (
        "{share:.0%} of the truth of the last windows came after the retention of its prediction, and enters no metric."
    ),
    "too_late_totals": "In all {too_late:,} came too late, {in_time:,} in time.",
    "retention": "Predictions wait {kept:span} for their truth: raise windows.retention, and register again.",
    # The monitor, and what is not counted
    "behind": "It is {seconds:.0f} s behind (at most {threshold:.0f} s).",
    "to_be_read": "{name}: {count:,} to be read",
    "dead_letters_read": "{dead:,} dead letters of {n:,} records read.",
    "dead_letters_of_worker": "{name}: {count:,} dead letters in all partitions of the worker",
    "reported_by": "Reported by {worker}.",
    "set_aside": "Of the newest {of:,} records {some:,} were set aside (at most {threshold:.0%}).",
    "dead_letters": "{name}: {count:,} dead letters",
    "last_dead_letter": "The last of them: {topic} partition {partition} offset {offset}, {reason}",
    "mend_producer": "Everything else is counted. Mend the producer, then: driftline dead-letters list",
    "unregistered": (
        "Of the newest {of:,} records {some:,} name a model version that is not registered (at most {threshold:.0%})."
    ),
    "register": "Register it, or correct its name; then: driftline dead-letters resend --reason unknown",
    "unmatched": "Of the newest {of:,} records of feedback {some:,} have no prediction (at most {threshold:.0%}).",
    "unmatched_ids": "Their ids were never sent, were set aside, or are older than windows.retention.",
    "stream_stopped": (
        "more than {share:.0%} of {window:,} records in a row of {topic}, partition {partition}, cannot be read, "
        "up to offset {offset}: {reason}. Nothing is counted, and nothing lost, until somebody acts: mend the "
        "producer, then start a worker once with --accept-dead-letters, or set a higher dead_letter_share"
    ),
    "stream_goes_on": (
        "{topic}, partition {partition}, is read and counted again past offset {offset}, where it had stopped; "
        "what could not be read is in the dead letters"
    ),
}
