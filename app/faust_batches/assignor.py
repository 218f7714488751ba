"""Assignor of the workers' group: each partition number of all topics goes to one worker, with few moves."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from faust.assignor.client_assignment import ClientAssignment, CopartitionedAssignment
from faust.assignor.partition_assignor import PartitionAssignor

from app.faust_batches.assignment import share


class StickyAssignor(PartitionAssignor):  # type: ignore[misc]
    """Assignor that divides partitions by `share`.

    Faust's own assignor takes all that is above the least share and gives it out in turns.

    So with Faust's assignor, partitions move between workers that both stay, each with a recovery. There are no
    standbys and no global tables here, so `share` is the whole assignment.
    """

    def metadata(self, topics: set[str]) -> ConsumerProtocolMemberMetadata:
        """Return the metadata with which this member joins. A member that the group has removed claims no partition."""
        if self._is_out():
            self._assignment = ClientAssignment(actives={}, standbys={})
        return super().metadata(topics)

    def _is_out(self) -> bool:
        consumer = self.app._consumer
        client: Any = None if consumer is None else consumer._thread._consumer
        coordinator = getattr(client, "_coordinator", None)
        return coordinator is not None and coordinator.generation < 0

    def _perform_assignment(
        self, cluster: ClusterMetadata, member_metadata: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> MutableMapping[str, ConsumerProtocolMemberAssignment]:
        clients = {member: self._get_client_metadata(said) for member, said in member_metadata.items()}
        subscriptions = {member: list(said.subscription) for member, said in member_metadata.items()}
        topics = {topic for subscribed in subscriptions.values() for topic in subscribed}
        self._update_member_urls(clients)
        assignments = {member: ClientAssignment(actives={}, standbys={}) for member in member_metadata}
        groups: dict[str, int] = {}
        copartitioned = self._get_copartitioned_groups(topics, cluster, subscriptions)
        for number, (partitions, together) in enumerate(sorted(copartitioned.items())):
            for names in together:
                groups |= dict.fromkeys(names, number)
                held = {
                    member: clients[member].assignment.copartitioned_assignment(names).actives
                    for member, subscribed in subscriptions.items()
                    if names <= set(subscribed)
                }
                for member, found in share(held, partitions).items():
                    given = CopartitionedAssignment(actives=found, standbys=set(), topics=names)
                    assignments[member].add_copartitioned_assignment(given)
        changelogs = self._get_changelog_distribution(assignments)
        others = self._get_external_topic_distribution(assignments)
        found_: MutableMapping[str, ConsumerProtocolMemberAssignment] = self._protocol_assignments(
            assignments, changelogs, others, groups
        )
        return found_
