"""Alerts of others: what may be sent, the same said twice, what resolves them, and when they are over."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.alerting.events.external import (
    AlertRequest,
    ExternalError,
    check,
    expired,
    fingerprint_wanted,
    is_over,
    newest,
    transition_of,
)
from app.alerting.notify.muting import Muting, quiet_of
from tests.support.alert_events import DAY, alert_event, silence
from topics.events import AlertEvent

_requests = msgspec.json.Decoder(AlertRequest)


def asked(**fields: Any) -> AlertRequest:
    return _requests.decode(msgspec.json.encode({"title": "load failed", **fields}))


def sent(request: AlertRequest, known: AlertEvent | None = None, seconds: float = 0.0, key: str = "k") -> AlertEvent:
    check(request)
    return transition_of(request, known, DAY + timedelta(seconds=seconds), key, "https://d.example/x/")


def test_an_alert_has_what_was_said_and_is_named_by_its_key_and_model() -> None:
    request = asked(
        message="table is empty", level="error", metadata={"table": "orders", "rows": 0, "late": None}, owner="data",
        dedupe_key="load", model="churn", model_version="3", runbook_url="https://wiki.example/load",
    )  # fmt: skip
    alert = sent(request)
    assert (alert.rule, alert.status, alert.level, alert.title) == ("external", "firing", "error", "load failed")
    assert alert.labels == {"model": "churn", "model_version": "3", "rule": "external", "subject": "load"}
    assert alert.evidence == {"metadata": {"table": "orders", "rows": 0, "late": None}}
    assert alert.message.splitlines()[:5] == [
        "table is empty",
        "table: orders",
        "rows: 0",
        "late: null",
        "Owner: data.",
    ]
    assert alert.links == {"runbook": "https://wiki.example/load", "alerts": "https://d.example/x/dashboard#/alerts"}
    assert (alert.started_at, alert.ended_at, alert.expires_at, alert.owner) == (DAY, None, None, "data")
    command = alert.message.splitlines()[-1].removeprefix("Silence it: driftline alerts silence ")
    assert command == ("--rule external --model churn --version 3 --subject load --for 2h --comment 'looked at'")
    quiet = quiet_of(silence('rule="external"', 'subject="load"', 'model="churn"'))
    assert Muting([quiet]).reason(alert, (), DAY) is not None
    names = [sent(asked(dedupe_key=k, model=m)).fingerprint for k in ("load", "other") for m in ("churn", "b", None)]
    assert len({alert.fingerprint, *names}) == 7


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"title": None}, 400, "title: missing"),
        ({"title": "  "}, 422, "title: must have 1 to 200 characters"),
        ({"title": "x" * 201}, 422, "title: must"),
        ({"title": "a\0b"}, 422, "title: may not have a NUL"),
        ({"message": "x" * 10_001}, 422, "message: must have at most 10,000"),
        ({"metadata": {"a": "b\0"}}, 422, "metadata: may not have a NUL"),
        ({"metadata": {str(i): i for i in range(101)}}, 422, "metadata: must have at most 100 entries"),
        ({"dedupe_key": ""}, 422, "dedupe_key: must have 1 to 200"),
        ({"dedupe_key": "a\nb"}, 422, "dedupe_key: must have"),
        ({"fingerprint": "f"}, 422, "fingerprint: names what is to be resolved"),
        ({"status": "resolved"}, 400, "dedupe_key: missing; it names what is to be resolved"),
        ({"model_version": "3"}, 400, "model: missing"),
        ({"model": "a/b"}, 422, "model: 1 to 200 printable"),
        ({"owner": "x" * 201}, 422, "owner: must have"),
        ({"expires_after": 0}, 422, "expires_after: must be above 0"),
        ({"expires_after": 1e9}, 422, "expires_after: must be above 0 and at most 2,592,000"),
        ({"runbook_url": "javascript:alert(1)"}, 422, "runbook_url: must be an address"),
    ],
)
def test_what_cannot_be_sent_is_named(fields: dict[str, Any], status: int, words: str) -> None:
    with pytest.raises(ExternalError) as refused:
        check(asked(**fields))
    assert str(refused.value).startswith(words)
    assert refused.value.status == status


def test_without_a_key_each_is_an_alert_of_its_own_that_ends_after_an_hour() -> None:
    one, other = (sent(asked(), key=key) for key in ("a", "b"))
    assert one.fingerprint != other.fingerprint
    assert one.expires_at == DAY + timedelta(hours=1)
    assert "Silence it" not in one.message
    assert not is_over(one, DAY + timedelta(seconds=3599))
    assert is_over(one, DAY + timedelta(hours=1))
    end = expired(one, DAY + timedelta(hours=2))
    assert (end.status, end.ended_at, end.fingerprint) == ("resolved", one.expires_at, one.fingerprint)
    assert not is_over(end, DAY + timedelta(days=9))
    assert sent(asked(dedupe_key="k")).expires_at is None
    by_name = sent(AlertRequest(status="resolved", fingerprint=one.fingerprint), one, 5)
    assert (by_name.status, by_name.title, by_name.ended_at) == ("resolved", one.title, DAY + timedelta(seconds=5))


def test_sent_again_in_time_it_lasts_longer_and_says_nothing_new() -> None:
    request = asked(dedupe_key="k", expires_after=60)
    first = sent(request)
    again = sent(request, first, 30)
    assert again == msgspec.structs.replace(first, expires_at=DAY + timedelta(seconds=90))
    assert again.alert_id == first.alert_id
    late = sent(request, first, 61)  # its end may be on its way
    assert late.alert_id != first.alert_id
    assert late.started_at == first.started_at


def test_only_what_was_sent_can_be_resolved() -> None:
    end = AlertRequest(status="resolved", dedupe_key="k")
    with pytest.raises(ExternalError, match=r"^dedupe_key: no alert of this name") as refused:
        sent(end)
    assert refused.value.status == 404
    theirs = alert_event()
    with pytest.raises(ExternalError, match="is of the rule data_drift, whose alerts end by themselves"):
        sent(AlertRequest(status="resolved", fingerprint=theirs.fingerprint), theirs)


STEPS = st.lists(st.sampled_from(["fire a", "fire b", "resolve"]), max_size=12)


@given(STEPS)
def test_whatever_is_sent_in_whatever_order_ids_are_new_where_something_is(steps: list[str]) -> None:
    """Against a model of two words: does it fire, and with which title."""
    log: list[AlertEvent] = []
    title: str | None = None
    for number, step in enumerate(steps):
        wanted = None if step == "resolve" else step
        request = asked(dedupe_key="k", **({"title": wanted} if wanted else {"status": "resolved", "title": None}))
        known = newest(log, fingerprint_wanted(request, "k"))
        if wanted is None and known is None:
            with pytest.raises(ExternalError):
                sent(request, known, number)
            continue
        found = sent(request, known, number)
        assert (
            sent(request, known, number + 0.5, "another").alert_id == found.alert_id
        )  # another process, a moment later
        assert (found is known) == (title == wanted)
        if found is not known:
            log.append(found)
        title = wanted
        assert (found.status == "firing") == (title is not None)
    assert len({alert.alert_id for alert in log}) == len(log)
    for earlier, later in itertools.pairwise(log):
        same_episode = earlier.status == "firing"
        assert (earlier.started_at == later.started_at) == same_episode
