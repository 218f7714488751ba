"""Screen of `driftline top`: text as wide and as high as the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.commands.top.choice import ORDER, Choice
from app.commands.top.not_counted import named, not_counted_lines
from app.core.evaluation.accounting import counted
from app.telemetry.printable import one_line

if TYPE_CHECKING:
    from datetime import datetime

    from app.read_model.summary import ModelSummary
    from app.read_model.workers import Monitored
    from topics.events import AlertEvent

MOST_ALERTS = 8
FRAME = 7
"""Lines of a screen that are neither rows of models nor alerts."""
STYLES = {
    "alerting": "bold red", "degraded": "red", "drifting": "yellow", "healthy": "green", "critical": "bold red",
    "error": "red", "warning": "yellow",
}  # fmt: skip
BAR = 10
GAP = 2
NARROWEST = 16
"""Least width of an elastic column, in characters."""
USUAL = 32
"""Usual width of a model's name with its version, in characters."""
NEEDED = 3
"""Rank from which columns matter less than a complete name."""
ELASTIC = ("model", "features")
NUMBERS = ("reference", "estimated", "rows", "truth")
ALL = Choice()
REGISTER = """Say what is normal: driftline register --model M --version V --reference FILE
Only want to see it work? driftline demo"""


def screen(
    summaries: list[ModelSummary],
    firing: list[AlertEvent],
    monitored: Monitored,
    now: datetime,
    size: tuple[int, int | None],
    trouble: str = "",
    choice: Choice = ALL,
) -> RenderableType:
    """Return the alerts, then the model versions, the worst first.

    `size`: columns and lines of the terminal (lines None: no limit). `trouble`: why the data may be old. `choice`:
    selection of model versions.
    """
    width, height = size
    matching, firing = choice.of(summaries), choice.alerts(firing)
    told = firing[:MOST_ALERTS]
    lost = not_counted_lines(monitored.not_counted)
    asked = choice.words(len(matching), len(summaries))
    most = len(matching) if choice.limit is None else min(choice.limit, len(matching))
    if height is not None:
        others = FRAME + len(lost) + bool(asked) + len(told) + (len(firing) > len(told))
        most = min(most, max(3, height - others))
    parts = [
        _text(f"driftline  {now.astimezone():%H:%M:%S}  {_needs(matching, bool(summaries))}", "bold"),
        _text(trouble, style="bold red") if trouble else _text(_workers(monitored), style="dim"),
        *(_text(line, style="bold red") for line in lost),
        *([_text(asked, style="dim")] if asked else []),
        _text(),
        _text(f"{len(firing)} firing" if firing else "no alert is firing", style="bold"),
        *map(_alert, told),
    ]
    if len(firing) > len(told):
        parts.append(_text(f"and {len(firing) - len(told)} more: driftline alerts list", style="dim"))
    for line in parts:
        line.no_wrap, line.overflow = True, "ellipsis"
    body: list[RenderableType] = [_text()]
    if matching:
        body.append(_table(matching[:most], width))
    elif not summaries:
        body.append(_text(REGISTER))
    if len(matching) > most:
        more = f"and {len(matching) - most} more, none of them worse"
        body.append(_text(f"{most} of {len(matching)} shown, {more}", style="dim", no_wrap=True, overflow="ellipsis"))
    return Group(*parts, *body)


def _text(words: str = "", style: str = "", **more: Any) -> Text:
    """Return text that is safe to show: names come from the users who register models and send events."""
    return Text("\n".join(map(one_line, words.split("\n"))), style, **more)


def _needs(matching: list[ModelSummary], is_any: bool) -> str:
    if not matching:
        return "no model version is like that" if is_any else "no model is registered"
    bad = sum(one.state in ORDER[:3] for one in matching)
    if not bad:
        blind = sum(one.not_judged_since is not None for one in matching)
        if not blind:
            return "no model needs attention"
        return f"{blind} of {len(matching)} model versions {'is' if blind == 1 else 'are'} not judged"
    return f"{bad} of {len(matching)} model versions need{'s' * (bad == 1)} attention"


def _alert(alert: AlertEvent) -> Text:
    line = _text(f"{alert.level:<9}", style=STYLES.get(alert.level, ""))
    return line.append(one_line(f"{alert.started_at.astimezone():%Y-%m-%d %H:%M}  {alert.title}"), style="default")


def _workers(monitored: Monitored) -> str:
    if not monitored.workers:
        return "no worker has reported in the last day: driftline worker"
    there = [worker for worker in monitored.workers if not worker.silent]
    dead = sum(letters.count for letters in monitored.dead_letters)
    waiting = sum(monitored.lag.values())
    silent = len(monitored.workers) - len(there)
    return (
        f"{len(there)} worker{'' if len(there) == 1 else 's'} at work{f', {silent} silent' if silent else ''}, "
        f"{waiting:,} records waiting, behind by {monitored.behind_seconds:.0f} s, {dead:,} dead letters"
    )


class ScreenColumn(NamedTuple):
    """Column of the table. A column of a higher `rank` makes room for others earlier."""

    name: str
    rank: int
    cells: list[Text]


def _table(summaries: list[ModelSummary], width: int) -> Table:
    """Return the table with as many columns as fit, the most important first."""
    columns = _columns(summaries)
    widths = _widths(columns, width)
    shown = [column for column in columns if column.name in widths]
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="dim")
    for name, _, _ in shown:
        table.add_column(name, justify="right" if name in NUMBERS else "left", width=widths[name], no_wrap=True)
    for cells in zip(*(column.cells for column in shown), strict=True):
        table.add_row(*cells)
    return table


def _columns(summaries: list[ModelSummary]) -> list[ScreenColumn]:
    ends = [None if one.window_end is None else one.window_end.astimezone() for one in summaries]
    learning = any(map(_usual, summaries))
    return [
        ScreenColumn("state", 0, [_text(one.state, style=STYLES.get(one.state, "dim")) for one in summaries]),
        ScreenColumn("model", 0, [_text(named(one)) for one in summaries]),
        ScreenColumn("drifted", 1, [_text(_share(one)) for one in summaries]),
        ScreenColumn("features", 4, [_text(_drifted(one)) for one in summaries]),
        ScreenColumn("metric", 2, [_text(_measured(one), style="red" if one.degraded else "") for one in summaries]),
        ScreenColumn("reference", 5, [_text(_number(one.baseline)) for one in summaries]),
        ScreenColumn("estimated", 6, [_text(_number(one.estimated)) for one in summaries]),
        ScreenColumn("rows", 7, [_text("" if one.n is None else f"{one.n:,}") for one in summaries]),
        ScreenColumn("truth", 8, [_text(_truth(one)) for one in summaries]),
        ScreenColumn("left out", 9, [_text(counted(one.left_out, most=2)) for one in summaries]),
        ScreenColumn("last window", 3, [_text("" if end is None else f"{end:%Y-%m-%d %H:%M}") for end in ends]),
        *([ScreenColumn("usual", 4, [_text(_usual(one)) for one in summaries])] if learning else []),
    ]


def _widths(columns: list[ScreenColumn], width: int) -> dict[str, int]:
    """Return the widths of the columns that fit.

    A name of usual length is complete before less needed columns are added.
    """
    wanted = {column.name: max(len(column.name), *(cell.cell_len for cell in column.cells)) for column in columns}
    widths: dict[str, int] = {}
    left = width + GAP

    def grow(name: str, most: int) -> int:
        more = max(0, min(left, most - widths.get(name, most)))
        if more:
            widths[name] += more
        return more

    for column in sorted(columns, key=lambda column: column.rank):
        if column.rank == NEEDED:
            left -= grow("model", min(wanted["model"], USUAL))
        least = min(wanted[column.name], NARROWEST) if column.name in ELASTIC else wanted[column.name]
        if GAP + least > left:
            break
        widths[column.name] = least
        left -= GAP + least
    for name in ELASTIC:
        left -= grow(name, wanted[name])
    return widths


def _share(one: ModelSummary) -> str:
    if one.drift_share is None:
        return ""
    if one.not_judged and (not one.sufficient or one.drift_share == 0.0):
        since = one.not_judged_since
        words = "not judged" if one.sufficient else "too few"
        return words if since is None else f"not judged since {since.astimezone():%m-%d %H:%M}"
    return f"{'█' * round(one.drift_share * BAR):<{BAR}} {one.drift_share:>4.0%}"


def _drifted(one: ModelSummary) -> str:
    more = one.drifted_count - len(one.drifted[:3])
    return ", ".join(one.drifted[:3]) + (f" and {more} more" if more > 0 else "")


def _measured(one: ModelSummary) -> str:
    if one.value is None:
        return ""
    return f"{one.metric} {one.value:.3f}{' ↓' if one.degraded else '' if one.judged else ' not judged'}"


def _usual(one: ModelSummary) -> str:
    """Return the progress of learning usual effects; empty for a version that is not learning."""
    if one.usual is None or one.usual.source != "learning":
        return ""
    return f"learning {one.usual.days}/{one.usual.needs} d"


def _truth(one: ModelSummary) -> str:
    """Return the share of truth in the newest window with enough truth, and the end of that window."""
    if one.truth_end is None:
        return "" if one.coverage is None else "none yet"
    share = "" if one.coverage is None else f"{one.coverage:.0%}"
    return share if one.truth_end == one.window_end else f"{share} until {one.truth_end.astimezone():%m-%d %H:%M}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
