"""Requests to predict, answered once: a repeated `request_id` gets the first response again.

The topic `served` decides which response of an id was the first. So several APIs agree, also after a restart. A
response is in that log before its prediction is in `predictions`, and in both before the client receives it. A repeat
sends the same event again, in case the first request ended between the two; the join counts an id once. A request that
certainly fails (a failed or late prediction, a record that is too large) is refused before its id is in the log.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime

import msgspec

from api.http.problems import Problem, unavailable
from api.inference.recording import Recording, hiding_of
from api.intake.events import new_id
from api.served.model_process import ModelLost, ModelRaised
from api.served.models import ServedModel
from api.services import Services
from app.core.values.accepted import id_of, wrong_name, wrong_time
from app.core.values.precision import EXACT_IN_A_FLOAT
from app.kafka.errors import without_values
from app.serving import Bundle, Predicted, PredictionFailed, UnfitRows
from app.serving.threads import Busy
from app.telemetry import metrics
from topics.events import Name, Scalar, ServedEvent, Timestamp, to_epoch, utc_now

log = logging.getLogger(__name__)

PROCESS_SECONDS = 2.0
"""Seconds that a request waits longer than its process may predict; by then the process has been ended."""


class PredictRequest(msgspec.Struct, frozen=True):
    """Raw features of one prediction. `request_id` becomes the prediction's id.

    `timestamp` is the time of the prediction where that is not now. `timestamp` and `metadata` are the caller's, and
    are part of the prediction in Kafka.
    """

    features: dict[str, Scalar]
    request_id: Name | None = None
    timestamp: Timestamp | None = None
    metadata: dict[str, Scalar] | None = None

    @property
    def id(self) -> str | None:
        """Return the prediction's id in the spelling that feedback has."""
        return None if self.request_id is None else id_of(self.request_id)

    @property
    def predicted_at(self) -> datetime | None:
        """Return the time that the caller gave, in either form; None where there is none."""
        given = self.timestamp
        return given if given is None or isinstance(given, datetime) else datetime.fromtimestamp(given, UTC)


def wrong_request(asked: PredictRequest) -> str:
    """Return an error that the types do not exclude; empty where the request is valid."""
    wrong = "" if asked.id is None else wrong_name("request_id", asked.id)
    return wrong or wrong_time(None if asked.timestamp is None else to_epoch(asked.timestamp))


async def served(services: Services, model: ServedModel, asked: Sequence[PredictRequest]) -> list[ServedEvent]:
    """Return a response to each request, in order, once Kafka or the disk (see `Recording`) has all: all or none.

    Raises Problem 400 for missing features, 422 for otherwise wrong features, 409 for a `request_id` that was used for
    other features. Raises Problem 413 for a record that is too large, 500 where the model fails, 503 where the model
    takes too long. Raises BrokerUnavailable.
    """
    bundle = model.bundle
    if services.settings.serving_extra_features == "ignore":
        asked = [_of_model(one, bundle) for one in asked]
    services.hider.check_loaded()
    hiding_of(services, bundle.training.model, bundle.training.model_version)
    digests = [_digest(one.features, services.hider.secret) for one in asked]
    recording = Recording(services, bundle.training.model, asked, digests)
    answers = recording.known()
    fresh = [i for i in range(len(asked)) if i not in answers]
    predicted = await _predicted(services, model, asked, fresh)
    for i, found in zip(fresh, predicted, strict=True):
        answers[i] = _answer(bundle, asked[i], found, digests[i])
    return await recording.record(answers, fresh)


def _of_model(asked: PredictRequest, bundle: Bundle) -> PredictRequest:
    """Return the request without features that the model does not have, and count those."""
    known = {name: value for name, value in asked.features.items() if name in bundle.types}
    metrics.API_EXTRA_FEATURES.inc(len(asked.features) - len(known))
    return asked if len(known) == len(asked.features) else msgspec.structs.replace(asked, features=known)


async def _predicted(
    services: Services, model: ServedModel, asked: Sequence[PredictRequest], fresh: Sequence[int]
) -> list[Predicted]:
    """Return the model's predictions, made in one of its threads or processes."""
    if not fresh:
        return []
    most, name = services.settings.predict_seconds, model.name
    call = model.call([asked[i].features for i in fresh], most)
    in_process = model.processes is not None
    within = asyncio.timeout(most + PROCESS_SECONDS if in_process else most)
    future: Future[list[Predicted]] | None = None
    try:
        future = model.threads.submit(call, math.inf if in_process else most)
        async with within:
            return await asyncio.wrap_future(future)
    except UnfitRows as error:
        raise _unfit(error, fresh, len(asked)) from None
    except Busy as error:
        metrics.API_PREDICT_REFUSED.labels(name).inc()
        raise unavailable(str(error)) from None
    except ModelLost as error:
        if error.hung:
            metrics.API_PREDICT_TIMEOUTS.labels(name).inc()
        raise unavailable(str(error)) from None
    except Exception as error:
        if within.expired() and future is not None:
            model.threads.abandon(future, ends=in_process)
            _note_timeout(model, most)
            raise unavailable(f"the model has not answered within {most:g} s (predict_seconds)") from None
        kind, told = type(error).__name__, without_values(error)
        if isinstance(error, ModelRaised):
            kind, told = error.kind, error.told
        log.error("the model %s failed: %s", name, told)
        if isinstance(error, PredictionFailed):
            raise Problem(500, f"the model failed: {error}") from error
        raise Problem(500, f"the model failed on these features: {kind}") from error


def _note_timeout(model: ServedModel, seconds: float) -> None:
    """Count and log a request that the model did not answer in time, with the state of its threads or processes."""
    metrics.API_PREDICT_TIMEOUTS.labels(model.name).inc()
    version = model.bundle.training.model_version
    if model.processes is not None:
        log.warning(
            "model %s %s: a request has not been answered within %g s: it waited for a process; %d requests wait",
            model.name, version, seconds, model.threads.waiting,
        )  # fmt: skip
        return
    if words := model.threads.all_overdue(seconds):
        log.error("model %s %s: a request has not been answered: %s", model.name, version, words)
        return
    log.warning(
        "model %s %s: a request has not been answered within %g s; %d of its %d threads are overdue, %d requests wait",
        model.name, version, seconds, model.threads.overdue(seconds), model.threads.most, model.threads.waiting,
    )  # fmt: skip


def _unfit(error: UnfitRows, fresh: Sequence[int], n: int) -> Problem:
    rows = error.rows
    status = 400 if any(row.missing for row in rows) else 422
    told = [
        {"index": fresh[row.row], "error": str(row), "missing_features": row.missing, "errors": row.wrong}
        for row in rows
    ]
    if n == 1:
        return Problem(status, str(rows[0]), missing_features=rows[0].missing, errors=rows[0].wrong)
    first = f"the first, at index {told[0]['index']}: {rows[0]}"
    return Problem(status, f"{len(rows):,} of {n:,} cannot be predicted, so none was; {first}", rejected=told)


def _answer(bundle: Bundle, asked: PredictRequest, found: Predicted, digest: str) -> ServedEvent:
    return ServedEvent(
        prediction_id=asked.id or new_id(),
        model=bundle.training.model,
        model_version=bundle.training.model_version,
        timestamp=utc_now(),
        prediction=found.prediction,
        prediction_label=found.label,
        probability=found.probability,
        features_digest=digest,
        event_timestamp=asked.predicted_at,
    )


def _digest(features: Mapping[str, Scalar], secret: bytes | None) -> str:
    """Return a digest that is the same for equal features, in any order: 7 and 7.0 are one number.

    Where columns are hashed, the digest uses their key, so that nobody can find the features by trial.
    """
    same = {name: float(v) if type(v) is int and abs(v) <= EXACT_IN_A_FLOAT else v for name, v in features.items()}
    raw = msgspec.json.encode(same, order="deterministic")
    return (hashlib.sha256(raw) if secret is None else hmac.new(secret, raw, hashlib.sha256)).hexdigest()[:32]
