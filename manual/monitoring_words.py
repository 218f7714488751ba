"""Purposes of the keys of monitoring.json; a rule's keys under `RULE`, a route's under `ROUTE`."""

from __future__ import annotations

WORDS = {
    "columns.features": "Columns that are the model's inputs. Unset: every column without another role.",
    "columns.categorical": "Features that are categories, whatever their values look like.",
    "columns.numeric": "Features that are numbers, whatever their values look like.",
    "columns.prediction": "Column of the prediction. Unset: `prediction`, if there is one.",
    "columns.probability": "Column of the probability. Unset: `probability`, if there is one.",
    "columns.probabilities": "Column of each class's probability, by class.",
    "columns.target": "Column of the truth. Unset: `target` or `actual`, if there is one.",
    "columns.id": "Column of the prediction's id. Unset: `prediction_id` or `id`, if there is one.",
    "columns.timestamp": "Column of the time of each prediction. Unset: `timestamp`, if there is one.",
    "columns.truth_timestamp": (
        "Column of the time at which each truth came; `register` says how much of it is too late."
    ),
    "columns.ignore": "Columns that are not features. Predictions may have them, and they are not counted.",
    "columns.missing.numeric": (
        "Texts that are a missing number, in any case. Unset: the usual ones ([values](../values.md))."
    ),
    "columns.missing.categorical": "Texts that are a missing category, as they stand. Unset: the usual ones.",
    "columns.redact": "Features and metadata that are dropped before Kafka ([people's data](../how-to/gdpr.md)).",
    "columns.hash": "Features and metadata of which a keyed hash is sent instead.",
    "task": "What the model does. Unset: inferred from the prediction and the truth; `register` says why.",
    "labels": "Classes, in their order. Empty: those in the reference.",
    "positive_label": (
        "The class that precision, recall and the probability are about. Unset: as the reference shows, else the last."
    ),
    "baseline": "Metrics, by name, that replace those found in the reference.",
    "current": "Path of the rows to judge, for `check` without `--current`.",
    "windows.pane": "Seconds of event time that are counted together.",
    "windows.panes": "Panes of a window. A window is evaluated as each pane ends.",
    "windows.allowance": "Seconds for which a pane waits for late records before it is evaluated.",
    "windows.retention": (
        "Seconds for which a prediction waits for its feedback. Not shorter than a window, if there is feedback."
    ),
    "windows.lateness": (
        "Seconds behind the newest prediction within which another is counted. Unset: one window; `retention` at most."
    ),
    "windows.idle_after": "Seconds of silence after which a partition does not hold the watermark back.",
    "windows.ahead": "Seconds that a timestamp may be ahead of the broker's time for the record.",
    "windows.longest": (
        "Seconds that a window with fewer than `drift.min_samples` predictions reaches back, at most; 365 days at most."
    ),
    "reference.moving": (
        'Seconds, or "28d": windows are compared with the rows of this span, not with the registered reference '
        "([without a reference table](../how-to/no-reference.md)). `reference` as a text is the path of the reference, "
        "for `register` and `check` without `--reference`."
    ),
    "reference.behind": 'Seconds, or "1d", from the end of that span to the end of the window; a day unless given.',
    "reference.same": "hour-of-week: compare with rows of the same hours of the week (UTC) only.",
    "decision.false_alarms": (
        'How often any rule may fire at the newest panes without any change: "1 per month", "2 per year"; "off": '
        "windows alone decide ([decision](../decision.md))."
    ),
    "drift.policy": "decision: significant and large. threshold: p < `alpha`, or a distance above `categorical`.",
    "drift.alpha": "Share of false findings among the features called significant, at most (Benjamini-Hochberg).",
    "drift.numerical_effect": "Kolmogorov-Smirnov statistic above which a difference of numbers is large.",
    "drift.categorical": "Jensen-Shannon distance above which a difference of categories is large.",
    "drift.share": "Share of drifted features from which on data has drifted.",
    "drift.min_samples": "Predictions in a window below which no drift is judged.",
    "performance.policy": "decision: a drop that is more than chance. threshold: the drop alone decides.",
    "performance.default": (
        "Relative drop against the baseline from which on a metric is worse, unless `metrics` has its own."
    ),
    "performance.degradation": "Relative drop beyond which the alert is critical.",
    "performance.metrics": "The drop of single metrics, by name.",
    "performance.limits": (
        "With `policy: threshold`: values that a metric may not fall below (log_loss, brier, mae, rmse: rise "
        "above), by name."
    ),
    "performance.min_samples": "Rows with truth in a window below which no metric is judged.",
    "performance.confidence": "Confidence of the intervals in reports and messages.",
    "performance.chance": "How often any metric of a window as good as the reference may be called degraded.",
    "performance.show": "Metrics that messages name first, in this order.",
    "performance.default_truth.value": (
        "The truth of a prediction without feedback ([low traffic](../how-to/low-traffic.md))."
    ),
    "performance.default_truth.after": (
        'Seconds, or "30d", after which silence is the truth; below `windows.retention`.'
    ),
    "alerting.critical_features": "Features that have the rule `critical_feature`.",
    "alerting.missing_share": "How far a feature's share of missing values may rise above that of the reference.",
    "alerting.unseen_share": "How far the share of categories that the reference does not have may rise.",
    "alerting.stray_share": "Share of a window's rows that may have unknown features, or values of the wrong type.",
    "alerting.volume_drop": "How far traffic may fall below what is usual in the same hours, as a share.",
    "alerting.coverage_drop": "How far the share with feedback may fall below the usual one, as a share.",
    "alerting.too_late_share": "Share of the truth that may come after `windows.retention`.",
    "alerting.lag_seconds": "Seconds that a worker may be behind.",
    "alerting.dead_letter_share": "Share of the records read by a worker that may be dead letters.",
    "alerting.owner": "Who is to look at the model's alerts.",
    "alerting.runbook_url": "Address of the page that says what to do about them.",
    "alerting.not_judged_after": "Seconds of event time without a judged window after which `not_judged` fires.",
    "alerting.channels": "Channels that are notified where no route fits: {channels}, or `webhook:NAME` of a receiver.",
    "alerting.routes": "Routes of this model, before those of `driftline.toml`; see below.",
    "RULE.enabled": "false: the rule does not fire; an alert that fires is resolved.",
    "RULE.level": "The level of its alerts.",
    "RULE.for_windows": "Evaluations in a row that must be breached before the alert fires.",
    "RULE.clear_windows": "Evaluations in a row that must be clear before the alert is resolved.",
    "RULE.hysteresis": "A value is clear at or below its threshold times this.",
    "RULE.owner": "Who is to look at its alerts. Empty: `alerting.owner`.",
    "RULE.runbook_url": "Its page. Empty: `alerting.runbook_url`.",
    "ROUTE.channels": "Channels that are notified.",
    "ROUTE.matchers": "Conditions that must all hold, such as `rule=data_drift`.",
    "ROUTE.min_level": "The lowest level that it takes.",
    "ROUTE.name": "Its name in messages and logs.",
    "ROUTE.group_by": "Labels, beside model and version, that part groups.",
    "ROUTE.group_wait_seconds": "How long a group's first alerts wait for others. Unset: as the settings say.",
    "ROUTE.group_interval_seconds": (
        "The least time between two notifications of one group. Unset: as the settings say."
    ),
    "ROUTE.repeat_seconds": "After how long what still fires is sent again. Unset: as the settings say.",
    "ROUTE.go_on": "true: look at the routes behind it, too.",
}
