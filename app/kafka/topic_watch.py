"""Watch of the topics' identity: only the topics that the state was made of are read."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from app.kafka.client_options import client_options
from app.kafka.errors import BrokerUnavailable, TopicError
from app.kafka.topic_ids import TopicsThere, topics_there
from app.kafka.topics import NamedTopic, partitions_differ
from app.settings.settings import Settings

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
ANSWER_SECONDS = 10.0
AGAIN_SECONDS = 1.0
TIMES = 3
"""Number of successive checks in which a topic is missing, or a log too short: after a broker's death this may pass."""
WAY_ON = "docs/operations.md says how to go on"


class Origin(msgspec.Struct, frozen=True, array_like=True):
    """Cluster and topic that a partition's state was made of."""

    cluster: str
    topic: str


_decoder = msgspec.msgpack.Decoder(Origin)


def encoded(origin: Origin) -> bytes:
    """Return an origin as it is saved in a table."""
    return msgspec.msgpack.encode(origin)


def decoded(saved: bytes | None) -> Origin | None:
    """Return a saved origin; None where there is none."""
    return None if saved is None else _decoder.decode(saved)


class TopicWatch:
    """Repeated check of the topics, from the start on. Use as a context, from one event loop.

    A Kafka that does not respond is no finding. On one that is too old for ids (before 3.1), everything except ids is
    checked.
    """

    def __init__(self, settings: Settings, topics: Iterable[NamedTopic], note: Path | None = None) -> None:
        """Create the watch. `note`: a file with the cluster's id, for a start that finds no state in another one."""
        self._note = note
        self._name = f"{settings.prefix}{settings.group}"
        self._wanted = {topic.name: topic for topic in topics}
        self._servers = settings.bootstrap_servers
        self._consumer = AIOKafkaConsumer(  # uncommitted: for the end of the log, whatever of it may be read
            **client_options(settings), enable_auto_commit=False, request_timeout_ms=int(ANSWER_SECONDS * 1000)
        )
        self._known: TopicsThere | None = None
        self._doubts: Counter[str] = Counter()
        self.found: str | None = None
        """The problem that was found."""

    async def __aenter__(self) -> Self:
        """Read the topics as they are now. Raises KafkaError, TopicError."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._consumer.start()
                self._known = await self._look()
            if self._note is not None and self._known is not None:
                self._compare(self._note, self._known.cluster)
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    def _compare(self, note: Path, cluster: str) -> None:
        """Compare the cluster with the one that had this state last time, and note it."""
        try:
            known = msgspec.json.decode(note.read_bytes(), type=dict[str, str]) if note.exists() else {}
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("%s is left aside: %s", note, error)
            return
        if known.setdefault(self._name, cluster) != cluster:
            self._raise(
                f"Kafka at {self._servers} is cluster {cluster}, and was {known[self._name]} when group "
                f"{self._name} last ran here: correct bootstrap_servers, or delete {note}; {WAY_ON}"
            )
        try:
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_bytes(msgspec.json.encode(known))
        except OSError as error:
            log.warning("which cluster this is could not be noted in %s: %s", note, error)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def run(self, held: Callable[[], Mapping[TopicPartition, int]] = dict) -> None:
        """Check until something is wrong. `held`: the next offset of each assigned partition. Raises TopicError."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    wrong = self._differences(await self._look()) or await self._too_short(held())
            except (KafkaError, OSError, TimeoutError) as error:
                log.debug("the topics cannot be looked at: %r", error)
                continue
            if wrong:
                self._raise(wrong)

    def origin(self, topic: str) -> Origin | None:
        """Return the origin of a topic's state as of now; None where Kafka has no ids."""
        there = None if self._known is None else self._known.topics.get(topic)
        return None if there is None or self._known is None else Origin(self._known.cluster, there.id)

    async def verify(
        self, positions: Mapping[TopicPartition, int], saved: Mapping[TopicPartition, Origin | None]
    ) -> None:
        """Check partitions before they are read: the origin of their state, and the ends of their logs.

        Raises TopicError, BrokerUnavailable.
        """
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                wrong = self._differences(await self._look())
        except TimeoutError:
            raise BrokerUnavailable(f"Kafka at {self._servers} does not say which topics it has") from None
        if wrong:
            self._raise(wrong)
        for tp, then in saved.items():
            now = self.origin(tp.topic)
            if now is None or then is None or now == then:
                continue
            if now.cluster != then.cluster:
                self._raise(
                    f"Kafka at {self._servers} is cluster {now.cluster}, and the state of {tp.topic} was made of "
                    f"cluster {then.cluster}: correct bootstrap_servers, or {WAY_ON}"
                )
            self._raise(
                f"{tp.topic} was deleted and made again (its id was {then.topic}, and is {now.topic}): what is in it "
                f"now does not go with the saved state; {WAY_ON}"
            )
        for _ in range(TIMES):
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    wrong = await self._too_short(positions)
            except TimeoutError:
                raise BrokerUnavailable(f"Kafka at {self._servers} does not say where its logs end") from None
            if wrong:
                self._raise(wrong)
            if not any(what.startswith("short") for what in self._doubts):
                return
            await asyncio.sleep(AGAIN_SECONDS)

    async def _look(self) -> TopicsThere | None:
        with contextlib.suppress(NotImplementedError):
            return await topics_there(self._consumer._client, self._wanted)
        return None

    def _differences(self, now: TopicsThere | None) -> str | None:
        then = self._known
        if now is None or then is None:
            return None
        if now.cluster != then.cluster:
            return (
                f"Kafka at {self._servers} is another cluster now ({now.cluster}, it was {then.cluster}): correct "
                f"bootstrap_servers, or {WAY_ON}"
            )
        for name, wanted in self._wanted.items():
            was, is_ = then.topics.get(name), now.topics.get(name)
            if is_ is None:
                if self._doubtful(f"gone {name}", was is not None):
                    return f"{name} was deleted while it was read; {WAY_ON}"
                continue
            self._doubtful(f"gone {name}", False)
            if was is not None and was.id != is_.id:
                return f"{name} was deleted and made again while it was read; {WAY_ON}"
            if is_.partitions != wanted.partitions:
                return f"{partitions_differ(wanted, is_.partitions)}; docs/how-to/grow.md says how to have more"
        return None

    async def _too_short(self, held: Mapping[TopicPartition, int]) -> str | None:
        ends = await self._consumer.end_offsets(list(held)) if held else {}
        for tp, at in held.items():
            if self._doubtful(f"short {tp}", ends[tp] < at):
                return (
                    f"{tp.topic} partition {tp.partition} ends at offset {ends[tp]}, and was read to {at}: its log is "
                    f"another, or has lost its end; {WAY_ON}"
                )
        return None

    def _doubtful(self, what: str, wrong: bool) -> bool:
        """Return whether a problem was found in enough successive checks."""
        if not wrong:
            del self._doubts[what]
            return False
        self._doubts[what] += 1
        return self._doubts[what] >= TIMES

    def _raise(self, wrong: str) -> None:
        self.found = wrong
        raise TopicError(wrong)
