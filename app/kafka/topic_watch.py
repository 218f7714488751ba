"""Whether the topics are still those that the state was made of; they are not read as if they were."""

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
"""So many looks in a row have to find a topic gone, or a log too short: after a broker's death that may seem so."""
WAY_ON = "docs/operations.md says how to go on"


class Origin(msgspec.Struct, frozen=True, array_like=True):
    """What a partition's state was made of."""

    cluster: str
    topic: str


_decoder = msgspec.msgpack.Decoder(Origin)


def encoded(origin: Origin) -> bytes:
    """An origin as it is saved in a table."""
    return msgspec.msgpack.encode(origin)


def decoded(saved: bytes | None) -> Origin | None:
    """A saved origin, where there is one."""
    return None if saved is None else _decoder.decode(saved)


class TopicWatch:
    """Looks at the topics, at the start and again and again. Use as a context, from one event loop.

    A Kafka that does not answer is no finding; one that is too old for ids (before 3.1) is watched by all but these.
    """

    def __init__(self, settings: Settings, topics: Iterable[NamedTopic], note: Path | None = None) -> None:
        """`note`: a file that remembers which cluster this was, for a start that finds no state in another one."""
        self._note = note
        self._name = f"{settings.prefix}{settings.group}"
        self._wanted = {topic.name: topic for topic in topics}
        self._servers = settings.bootstrap_servers
        self._consumer = AIOKafkaConsumer(  # uncommitted: where a log ends, whatever of it may be read
            **client_options(settings), enable_auto_commit=False, request_timeout_ms=int(ANSWER_SECONDS * 1000)
        )
        self._known: TopicsThere | None = None
        self._doubts: Counter[str] = Counter()
        self.found: str | None = None
        """What was found wrong."""

    async def __aenter__(self) -> Self:
        """Know the topics as they are now. Raises KafkaError, TopicError."""
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
        """Compare the cluster with the one that this state was in last time, and note it."""
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
        """Look until something is wrong; `held`: the next offset of each partition that is read. Raises TopicError."""
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
        """What a partition's state is made of now; None where Kafka tells no ids."""
        there = None if self._known is None else self._known.topics.get(topic)
        return None if there is None or self._known is None else Origin(self._known.cluster, there.id)

    async def verify(
        self, positions: Mapping[TopicPartition, int], saved: Mapping[TopicPartition, Origin | None]
    ) -> None:
        """Check partitions before anything is read of them: what their state was made of, and their logs' ends.

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
        """Whether it was wrong at so many looks in a row."""
        if not wrong:
            del self._doubts[what]
            return False
        self._doubts[what] += 1
        return self._doubts[what] >= TIMES

    def _raise(self, wrong: str) -> None:
        self.found = wrong
        raise TopicError(wrong)
