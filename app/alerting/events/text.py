"""Text of alerts: title and lines of one summary, and the title of several."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from app.alerting.events.sentences import COMPOSED, FORMATS, column_line, listed, metric_line
from app.alerting.events.templates import FACTS, HEADLINES, SUBJECT_HEADLINES, TITLE_NOTES
from topics.events import AlertEvent, AlertSummary, Fact, FactValue, FeatureDrift, MetricChange, RelatedWindow

MAX_IN_TITLE = 3
"""Number of statements, or of subjects of one statement, that the title of several alerts names."""


def fact(kind: str, **values: FactValue) -> Fact:
    """Return a fact. `kind`: a kind that has a sentence."""
    return Fact(kind=kind, values=values)


def title_of(summary: AlertSummary) -> str:
    """Return the title: the model and its version, and what fires or is resolved."""
    text = headline_of(summary)
    return f"{summary.about}: {text}" if summary.about else text


def headline_of(summary: AlertSummary) -> str:
    """Return the title without the model."""
    return _headline(summary.headline, [summary.subject]) + _title_notes(summary)


def title_of_all(about: str, summaries: Sequence[AlertSummary]) -> str:
    """Return the title of several alerts. A statement that applies to several subjects appears once.

    `about`: the model and version of the group.
    """
    groups: dict[tuple[str, str, bool], list[AlertSummary]] = {}
    for one in summaries:
        alike = one.headline.kind in SUBJECT_HEADLINES and one.about == about
        text = headline_of(one) if one.about == about else title_of(one)
        key = (one.headline.kind, _title_notes(one), True) if alike else (text, "", False)
        groups.setdefault(key, []).append(one)
    parts = [
        _headline(ones[0].headline, [one.subject for one in ones]) + notes if alike else text
        for (text, notes, alike), ones in groups.items()
    ]
    said = listed(parts, MAX_IN_TITLE, "; ")
    return f"{about}: {said}" if about else said


def lines_of(summary: AlertSummary) -> list[str]:
    """Return the lines of an alert, one for each fact, without line breaks from names."""
    lines = [line_of(one, summary) for one in (*summary.notes, *summary.facts)]
    if summary.related is not None:
        lines += [line_of(one, summary.related) for one in summary.related.facts]
    lines += [line_of(one, summary) for one in summary.advice]
    return [" ".join(line.splitlines()) for line in lines]


def line_of(one: Fact, of: AlertSummary | RelatedWindow) -> str:
    """Return the line of one fact of a summary, or of its related window."""
    if one.kind == "column":
        return column_line(column_named(one, of))
    if one.kind == "metric":
        return metric_line(metric_named(one, of.metrics))
    if one.kind == "estimated" and isinstance(of, RelatedWindow):
        return f"Estimated without the truth: {metric_line(metric_named(one, of.estimated))}."
    composed = COMPOSED.get(one.kind)
    return composed(one.values) if composed else _text.vformat(FACTS[one.kind], (), one.values)


def message_of(summary: AlertSummary) -> str:
    """Return the message: all lines of a summary."""
    return "\n".join(lines_of(summary))


def rendered(alert: AlertEvent, summary: AlertSummary) -> AlertEvent:
    """Return an alert with another summary, and with the title and message of that summary."""
    return replace(alert, summary=summary, title=title_of(summary), message=message_of(summary))


def summary_of_alert(alert: AlertEvent) -> AlertSummary:
    """Return the summary of an alert; one made of title and message where there is none that this release can
    render.
    """
    if alert.summary is not None and _is_renderable(alert.summary):
        return alert.summary
    links = {f"{name}: {address}": fact("link", name=name, address=address) for name, address in alert.links.items()}
    about = " ".join(alert.labels[name] for name in ("model", "model_version") if alert.labels.get(name))
    prefix = f"{about}: "
    has_about = bool(about) and alert.title.startswith(prefix)
    return AlertSummary(
        about=about if has_about else "", subject=alert.labels.get("subject", ""),
        headline=fact("text", text=alert.title.removeprefix(prefix) if has_about else alert.title),
        facts=tuple(links.get(line) or fact("text", text=line) for line in alert.message.split("\n")),
    )  # fmt: skip


def _is_renderable(summary: AlertSummary) -> bool:
    """Return whether every fact of a summary has text. A newer release may have written kinds that are unknown here."""
    try:
        title_of(summary)
        lines_of(summary)
    except (KeyError, StopIteration, TypeError, ValueError):
        return False
    return True


def column_named(one: Fact, of: AlertSummary | RelatedWindow) -> FeatureDrift:
    """Return the column that a fact refers to."""
    return next(column for column in of.columns if column.name == one.values["name"])


def metric_named(one: Fact, metrics: Sequence[MetricChange]) -> MetricChange:
    """Return the metric that a fact refers to."""
    return next(metric for metric in metrics if metric.name == one.values["name"])


def _headline(headline: Fact, subjects: Sequence[str]) -> str:
    templates = SUBJECT_HEADLINES.get(headline.kind)
    if templates is None:
        return _text.vformat(HEADLINES[headline.kind], (), headline.values)
    return templates[len(subjects) > 1].format(subject=listed(subjects, MAX_IN_TITLE))


def _title_notes(summary: AlertSummary) -> str:
    return "".join(TITLE_NOTES.get(note.kind, "") for note in summary.notes)


class _Text(string.Formatter):
    """Python's string formatter, extended by the formats of the templates."""

    def format_field(self, value: Any, format_spec: str) -> str:
        """Format a value by a format of the templates, or else by Python's own."""
        found = FORMATS.get(format_spec)
        return found(value) if found else str(format(value, format_spec))


_text = _Text()
