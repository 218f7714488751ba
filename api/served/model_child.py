"""A process that has one model and predicts with it, one request after another; `model_process.py` starts it.

Its standard input is a socket. The process receives the model's bundle, and then the rows of each request. It sends a
word and the values that belong to it, such as the predictions. The process ends when the socket is closed.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

import joblib

from app.kafka.errors import without_values
from app.serving import Bundle, PredictionFailed, UnfitRows, predict
from app.serving.types import Scalar


def main() -> int:
    """Serve until the other side closes the socket. Returns the exit status."""
    faulthandler.enable()
    connection = _standard_input()
    try:
        bundle = _loaded(connection)
        while True:
            connection.send(reply_to(bundle, connection.recv()))
    except (EOFError, ConnectionError):
        return 0


def reply_to(bundle: Bundle, rows: Sequence[Mapping[str, Scalar]]) -> tuple[Any, ...]:
    """Return the reply: "predicted", "unfit", "no prediction" or "failed", and the values that belong to it."""
    try:
        return "predicted", predict(bundle, rows)
    except UnfitRows as error:
        return "unfit", error.rows
    except PredictionFailed as error:
        return "no prediction", str(error), without_values(error)
    except Exception as error:  # noqa: BLE001 - whatever a model raises
        return "failed", type(error).__name__, without_values(error)


def _loaded(connection: Connection) -> Bundle:
    """Load the bundle that is sent, report that the model is ready, and return the bundle. Raises EOFError."""
    content = connection.recv_bytes()
    try:
        bundle: Bundle = joblib.load(io.BytesIO(content))
    except Exception as error:  # noqa: BLE001 - unpickling raises anything
        connection.send(("failed", type(error).__name__, without_values(error)))
        raise EOFError from None
    del content
    if bundle.known_good is not None:  # work of the model's first call is done before there is a caller
        with contextlib.suppress(Exception):
            predict(bundle, [bundle.known_good])
    connection.send(("ready",))
    return bundle


def _standard_input() -> Connection:
    """Return the socket that is the standard input. Afterwards the standard input is empty for the model's own code."""
    connection = Connection(os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return connection
