"""Events a second of a raw read loop, of stock Faust, and of the whole pipeline, on the same events.

Each reader is one process that reads a backlog from a broker on this machine: 15-feature predictions (10 numeric,
5 categorical), and feedback for every second one; both count as events, for every reader alike. Events are made and
sent beforehand. Every clock starts with the reader's first events, which are not counted, so start-up, group
membership and the first fetch are left out; it ends with the last event taken. For the pipeline that is the
checkpoint that completes the counts: by then every event is decoded, joined, counted into panes, saved to the
changelog but for the last delta, and published; windows are judged meanwhile in the same process. What remains after
it, the last reports, is told separately. Raw is measured before and after the pipeline, and the mean of their rates
taken, since a shared machine changes its mind.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from app.kafka.errors import BrokerError
from app.kafka.topics import ensure_topics
from app.replay.run import Sent
from app.settings.settings import Settings, SettingsError
from benchmarks import pipeline
from benchmarks.events import Counts, counts_of, register_model, send_events
from benchmarks.kafka import benchmark_settings
from benchmarks.reading import Figures, ReaderFailed, figures_of
from topics.registry import FEEDBACK, PREDICTIONS

MOST_SECONDS = 600.0
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; answers the exit status."""
    options = _options(arguments)
    try:
        with benchmark_settings() as settings:
            _measure(settings, options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except (BrokerError, SettingsError, ReaderFailed) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.throughput",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Kafka is the one that DRIFTLINE_BOOTSTRAP_SERVERS names or that runs; else one is started and ended.",
    )
    parser.add_argument("--events", type=int, default=900_000, help="predictions and feedback together (%(default)s)")
    parser.add_argument("--faust-events", type=int, default=20_000, help="how many stock Faust reads (%(default)s)")
    parser.add_argument("--reference", type=int, default=10_000, help="rows of the reference (%(default)s)")
    parser.add_argument("--keep-log", action="store_true", help="print the worker's log at the end")
    return parser.parse_args(arguments)


def _measure(settings: Settings, options: argparse.Namespace) -> None:
    wanted = counts_of(options.events)
    asyncio.run(_prepare(settings, wanted, options.reference))
    raw = [_raw(settings, wanted)]
    found = asyncio.run(pipeline.run(settings, wanted, MOST_SECONDS))
    _say("pipeline", found.figures)
    late = "none" if found.reports_after is None else f"the last {found.reports_after:.1f} s after it"
    watched = found.watched
    print(f"  {watched.panes:,} pane records, {watched.reports:,} reports ({late}); "
          f"at most {watched.largest_rss / 2**20:,.0f} MiB resident", flush=True)  # fmt: skip
    raw.append(_raw(settings, wanted))
    stock = _faust(settings, min(options.faust_events, wanted.events))
    if options.keep_log:
        print((settings.state_dir / "worker.log").read_text())
    rate = found.figures.rate
    cpu = sum(one.microseconds for one in raw) / len(raw) / found.figures.microseconds
    print(f"  pipeline/raw by the readers' CPU time alone, which other work on the machine disturbs less: {cpu:.2f}")
    print(f"pipeline/stock Faust {rate / stock.rate:.2f}")
    print(f"pipeline/raw {rate / (sum(one.rate for one in raw) / len(raw)):.2f}", flush=True)


async def _prepare(settings: Settings, wanted: Counts, reference: int) -> None:
    """Topics, the model and the events."""
    print(f"Kafka at {settings.bootstrap_servers}; {settings.partitions} partitions", flush=True)
    await ensure_topics(settings)
    await register_model(settings, reference)
    told = 0

    def tell(sent: Sent) -> None:
        nonlocal told
        done = 10 * (sent.predictions + sent.feedback) // wanted.events
        if done > told:
            told = done
            print(f"  sent {sent.predictions:,} predictions, {sent.feedback:,} feedback", flush=True)

    await send_events(settings, wanted, tell)


def _raw(settings: Settings, wanted: Counts) -> Figures:
    assert settings.bootstrap_servers is not None
    found = figures_of("raw", [settings.bootstrap_servers, str(wanted.events), *_topics(settings)], MOST_SECONDS)
    _say("raw", found)
    return found


def _faust(settings: Settings, events: int) -> Figures:
    assert settings.bootstrap_servers is not None
    arguments = [settings.bootstrap_servers, str(events), str(settings.state_dir / "faust"), f"{settings.group}-faust"]
    found = figures_of("stock_faust", [*arguments, str(settings.partitions), *_topics(settings)], MOST_SECONDS)
    _say("stock Faust", found)
    return found


def _topics(settings: Settings) -> list[str]:
    return [topic.full_name(settings.prefix) for topic in (PREDICTIONS, FEEDBACK)]


def _say(name: str, found: Figures) -> None:
    print(f"{name:<12} {found.rate:>10,.0f} events/s   ({found.events:,} events in {found.seconds:.2f} s, "
          f"{found.microseconds:.1f} µs CPU each)", flush=True)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
