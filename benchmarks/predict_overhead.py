"""What POST /predict costs beside the model: decoding, checking, the data frame, the event and the answer.

The model is a trivial one, so that all that is measured is around it. No Kafka is needed: what is sent is made, and not
sent. Times are CPU of one thread; the model's own part is timed inside, and left out. Beside it a frame is made a
column at a time, in the same rounds: what that takes is shown as a multiple of all that a request takes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from fastapi import Response

from api.http.responses import answer
from api.inference.predict import PredictRequest, _answer, _digest
from api.inference.recording import event_of
from api.intake.events import encode
from api.routes.predict import _one_of, _told
from app.serving import Bundle, Training, predict
from app.serving.types import ValueType, feature_type
from benchmarks.machine import machine_alone
from topics.events import ServedEvent

KINDS: Mapping[str, ValueType] = {"numbers": "number", "texts": "text", "integers": "integer", "booleans": "boolean"}
DTYPES: Mapping[ValueType, str] = {"number": "float64", "text": "str", "integer": "int64", "boolean": "bool"}
VALUES: Mapping[ValueType, str | float | bool] = {"number": 0.1, "text": "a text", "integer": 7, "boolean": True}


class Trivial:
    """A model that does nothing, and times what it and the making of its frame's matrix take."""

    classes_ = np.array([0, 1])

    def __init__(self) -> None:
        self.seconds = 0.0

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Return 0 for each row."""
        began = time.thread_time()
        told = np.zeros(len(frame), np.int64)
        self.seconds += time.thread_time() - began
        return told

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray:
        """Return 0.5 for each class of each row."""
        began = time.thread_time()
        told = np.full((len(frame), 2), 0.5)
        self.seconds += time.thread_time() - began
        return told


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what each step costs, for features of one type and of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args(arguments)
    print(machine_alone())
    mixes = {name: [kind] for name, kind in KINDS.items()} | {"all four": list(KINDS.values())}
    totals = {name: _measured(name, mix, options.features, options.rounds) for name, mix in mixes.items()}
    shown = ", ".join(f"{name} {total:.1f} ms" for name, total in totals.items())
    print(f"predict overhead, {options.features:,} features beside the model: {shown}")
    return 0


def _measured(name: str, mix: Sequence[ValueType], features: int, rounds: int) -> float:
    """Return the median milliseconds of CPU of all steps together, and print each."""
    types = {f"feature_{i}": mix[i % len(mix)] for i in range(features)}
    model = Trivial()
    bundle = Bundle(
        model,
        dict.fromkeys(types, "numeric"),
        {n: feature_type(t) for n, t in types.items()},
        Training("m", "1", "Trivial", "2026-01-01"),
    )
    body = json.dumps({"features": {feature: VALUES[kind] for feature, kind in types.items()}}).encode()
    steps: dict[str, list[float]] = {}
    by_column: dict[str, list[float]] = {}
    for _ in range(rounds):
        asked: PredictRequest = _timed(steps, "decoding", partial(_one_of, body))
        digest: str = _timed(steps, "digest", partial(_digest, asked.features, None))
        before = model.seconds
        (found,) = _timed(steps, "check, frame, outputs", partial(predict, bundle, [asked.features]))
        steps["check, frame, outputs"][-1] -= model.seconds - before
        made = _answer(bundle, asked, found, digest)
        _timed(steps, "event", partial(_encoded, made, asked))
        _timed(steps, "answer", partial(_answered, made))
        _timed(by_column, "frame", partial(_by_column, types, asked.features))
    total = statistics.median(map(sum, zip(*steps.values(), strict=True))) * 1e3
    times = statistics.median(by_column["frame"]) * 1e3 / total
    told = ", ".join(f"{step} {statistics.median(each) * 1e3:.2f}" for step, each in steps.items())
    print(f"  {name:<9} {total:6.2f} ms: {told}; a column at a time: {times:.0f} times as long")
    return total


def _by_column(types: Mapping[str, ValueType], row: Mapping[str, str | float | bool | None]) -> pd.DataFrame:
    """Return the frame as pandas makes it of one series a column."""
    return pd.DataFrame({name: pd.Series([row[name]], dtype=DTYPES[kind]) for name, kind in types.items()})


def _encoded(made: ServedEvent, asked: PredictRequest) -> bytes:
    return encode(event_of(made, asked.features, asked.metadata))


def _answered(made: ServedEvent) -> Response:
    return answer(_told(made))


def _timed(steps: dict[str, list[float]], name: str, step: Callable[[], Any]) -> Any:
    began = time.thread_time()
    found = step()
    steps.setdefault(name, []).append(time.thread_time() - began)
    return found


if __name__ == "__main__":
    sys.exit(main())
