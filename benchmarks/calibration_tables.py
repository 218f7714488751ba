"""The calibration's counts as tables and as a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

DECISION = Path("docs/decision.md")
MARKS = ("<!-- calibration: begin -->", "<!-- calibration: end -->")
OURS, PLAIN, CHUNKS = "#1f5fa8", "#c4572b", "#8a8a8a"


@dataclass(frozen=True)
class Measured:
    """Windows without drift of one reference: how many each rule called drifted."""

    population: str
    n: int
    reference: int
    apart: dict[str, int]
    rolled: dict[str, int]


@dataclass(frozen=True)
class Shifted:
    """A planted shift: shifted windows found, false alarms before it, and panes until each stream's first alarm."""

    words: str
    n: int
    rules: tuple[str, ...]
    found: dict[str, int]
    before: dict[str, int]
    calm: int
    delays: dict[str, list[int | None]]


def tables(measured: Sequence[Measured], shifted: Sequence[Shifted], reference_rows: int) -> str:
    """Both tables, in Markdown."""
    references = len({(one.population, one.n, one.reference) for one in measured})
    calm = sum(one.apart["windows"] + one.rolled["windows"] for one in measured)
    return "\n".join([
        f"{calm:,} windows without drift, over {references} references of {reference_rows:,} rows.",
        "Shares of windows that a rule calls drifted:",
        "",
        *_stationary(measured),
        "",
        "Alerts that fired in the rolling windows (each a false one), and the most that any one reference had:",
        "",
        *_alerts(measured),
        "",
        "Planted shifts, in one feature of the made-up 15 (flat, Zipf: the only feature, with 1,000 categories, its",
        "largest one larger by 20 points): the share of shifted windows that are found, and the panes",
        "of 60 until a rolling window is (median over streams, “–” where fewer than half ever were). Driftline's delay",
        "is that of the alert, after `for_windows`; the others' that of the first window. “Before” are the rolling",
        "windows before the shift in which the rule had already fired, for that feature alone:",
        "",
        *_shifts(shifted),
    ])  # fmt: skip


def _sum(measured: Sequence[Measured], population: str, n: int, rolled: bool) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in measured:
        if (one.population, one.n) == (population, n):
            total.update(one.rolled if rolled else one.apart)
    return total


def _keys(measured: Sequence[Measured]) -> list[tuple[str, int]]:
    return sorted({(one.population, one.n) for one in measured}, key=lambda key: (_order(key[0]), key[1]))


def _order(population: str) -> int:
    return ["census, 16", "made up, 15", "made up, 100", "200 to 2,000 categories, 6"].index(
        population.rsplit(" ", 1)[0]
    )


def _share(part: int, whole: int) -> str:
    return "0" if not part else f"{part / whole:.2%}"


def _stationary(measured: Sequence[Measured]) -> list[str]:
    columns = ("data", "feature", "prediction", "performance", "missing", "plain", "chunks")
    heads = ("data drift", "any feature", "prediction", "performance", "missing", "plain: any feature",
             "chunks: any feature")  # fmt: skip
    lines = [f"| population | rows | windows | {' | '.join(heads)} |", f"|---|---|---|{'---|' * len(heads)}"]
    for population, n in _keys(measured):
        for rolled in (False, True):
            total = _sum(measured, population, n, rolled)
            shares = " | ".join(_share(total[name], total["windows"]) for name in columns)
            how = "rolling" if rolled else "apart"
            lines.append(f"| {population} | {n:,} | {total['windows']:,} {how} | {shares} |")
    return lines


def _alerts(measured: Sequence[Measured]) -> list[str]:
    rules = ("data_drift", "critical_feature", "prediction_drift", "performance", "data_quality")
    lines = [f"| population | rows | windows | {' | '.join(f'`{r}`' for r in rules)} |", f"|---|---|---|{'---|' * 5}"]
    for population, n in _keys(measured):
        total = _sum(measured, population, n, rolled=True)
        cells = []
        for rule in rules:
            each = [m.rolled.get(f"alert {rule}", 0) for m in measured if (m.population, m.n) == (population, n)]
            cells.append("0" if not sum(each) else f"{sum(each)} (most {max(each)})")
        lines.append(f"| {population} | {n:,} | {total['windows']:,} | {' | '.join(cells)} |")
    return lines


def _shifts(shifted: Sequence[Shifted]) -> list[str]:
    heads = [f"{what}{of}" for what in ("found", "delay", "before") for of in ("", ", plain", ", chunks")]
    lines = [f"| shift | rows | {' | '.join(heads)} |", f"|---|---|{'---|' * 9}"]
    for one in _ordered(shifted):
        power = [f"{one.found.get(rule, 0) / one.found['windows']:.0%}" for rule in one.rules]
        delays = [_delay(one.delays[rule]) for rule in one.rules]
        before = [_share(one.before.get(rule, 0), one.calm) for rule in one.rules]
        lines.append(f"| {one.words} | {one.n:,} | {' | '.join([*power, *delays, *before])} |")
    return lines


def _ordered(shifted: Sequence[Shifted]) -> list[Shifted]:
    kinds = ("mean", "spread", "mix", "flat,", "Zipf,", "labels")
    return sorted(shifted, key=lambda s: (kinds.index(s.words.split()[0]), _amount(s.words), s.n))


def _amount(words: str) -> float:
    return float("".join(c for c in words if c.isdigit() or c == "."))


def _delay(delays: Sequence[int | None]) -> str:
    known = sorted(d for d in delays if d is not None)
    if 2 * len(known) <= len(delays):
        return "–"
    return f"{median([d if d is not None else float('inf') for d in delays]):.0f}"


def write(text: str) -> None:
    """Put the tables in their place in the page."""
    page = DECISION.read_text()
    head, tail = page.split(MARKS[0])[0], page.split(MARKS[1])[1]
    DECISION.write_text(f"{head}{MARKS[0]}\n{text}\n{MARKS[1]}{tail}")


def picture(measured: Sequence[Measured], shifted: Sequence[Shifted], path: Path) -> None:
    """False alarms by window size, and power and delay by the size of the shift."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(2, 5, figsize=(18, 7.2), constrained_layout=True)
    populations = list(dict.fromkeys(population for population, _ in _keys(measured)))
    for axis, population in zip(axes[0], populations, strict=False):
        _false_alarms(axis, measured, population)
    axes[0][0].set_ylabel("share of windows called drifted")
    axes[0][4].axis("off")
    axes[1][4].axis("off")
    handles, labels = axes[0][0].get_legend_handles_labels()
    axes[0][4].legend(handles, labels, loc="center left", frameon=False, title="no drift at all:", alignment="left")
    for axis, kind in zip(axes[1][:4], ("mean", "spread", "mix", "labels"), strict=True):
        _power(axis, [one for one in _ordered(shifted) if one.words.startswith(kind)], kind)
    axes[1][0].set_ylabel("share of shifted windows found")
    axes[1][0].legend(loc="lower right", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _false_alarms(axis: object, measured: Sequence[Measured], population: str) -> None:
    sizes = [n for p, n in _keys(measured) if p == population]
    rules = (
        ("plain", "p < 0.05, any feature", PLAIN, "s"),
        ("chunks", "mean + 3 sd of chunks, any feature", CHUNKS, "^"),
        ("feature", "Driftline, any feature", OURS, "o"),
        ("data", "Driftline, data drift", "#0b2545", "D"),
    )
    floor = 1e-4
    for rule, words, colour, marker in rules:
        totals = [_sum(measured, population, n, True) + _sum(measured, population, n, False) for n in sizes]
        shares = [max(t[rule] / t["windows"], floor) for t in totals]
        axis.plot(sizes, shares, marker=marker, color=colour, label=words, clip_on=False)  # type: ignore[attr-defined]
    axis.axhline(1e-3, color="#2a7f3b", linestyle=":", label="1 in 1,000")  # type: ignore[attr-defined]
    axis.set(xscale="log", yscale="log", ylim=(floor, 1.0), title=population, xlabel="rows of a window")  # type: ignore[attr-defined]
    axis.set_xticks(sizes, [f"{n:,}" for n in sizes])  # type: ignore[attr-defined]
    axis.minorticks_off()  # type: ignore[attr-defined]
    axis.set_yticks([1e-4, 1e-3, 1e-2, 1e-1, 1.0], ["none", "0.1 %", "1 %", "10 %", "100 %"])  # type: ignore[attr-defined]
    axis.grid(axis="y", alpha=0.25)  # type: ignore[attr-defined]


def _power(axis: object, shifts: Sequence[Shifted], kind: str) -> None:
    titles = {"mean": "mean moved (standard deviations)", "spread": "spread widened (factor)",
              "mix": "rows moved to one category (%)", "labels": "labels turned round (%)"}  # fmt: skip
    styles = {500: ":", 2_000: "--", 10_000: "-"}
    for n in sorted({one.n for one in shifts}):
        at = [one for one in shifts if one.n == n]
        x = [_amount(one.words) for one in at]
        for number, (words, colour, marker) in enumerate(
            (("Driftline", OURS, "o"), ("p < 0.05", PLAIN, "s"), ("chunks", CHUNKS, "^"))
        ):
            y = [one.found.get(one.rules[number], 0) / one.found["windows"] for one in at]
            label = f"{words}, {n:,} rows" if number == 0 or n == 10_000 else None
            axis.plot(x, y, styles.get(n, "-"), marker=marker, color=colour, label=label, markersize=4, clip_on=False)  # type: ignore[attr-defined]
    axis.set(ylim=(0.0, 1.02), title=titles[kind])  # type: ignore[attr-defined]
    axis.grid(alpha=0.25)  # type: ignore[attr-defined]
