"""The models that the API serves, each with its threads; a model is replaced without refusing a request."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from api.http.problems import Problem
from api.served.model_process import ModelProcesses
from app.serving import Bundle, BundleError, Predicted, load_bundle, predict
from app.serving.threads import Threads
from app.serving.types import Scalar
from app.settings.settings import Settings
from app.telemetry import metrics

log = logging.getLogger(__name__)

LOAD_SECONDS = 300.0
"""Limit in seconds of loading another version until it can be served."""


@dataclass(eq=False)
class ServedModel:
    """One loaded version. `users`: its requests; after its replacement, its threads end when no request is left.

    `processes`: processes that predict; None where the threads predict. With processes, each thread waits for one of
    them, and `bundle` has no estimator.
    """

    bundle: Bundle
    folder: Path
    threads: Threads
    processes: ModelProcesses | None = None
    users: int = 0
    replaced: bool = False

    @property
    def name(self) -> str:
        """Return the model's name."""
        return self.bundle.training.model

    def call(self, rows: Sequence[Mapping[str, Scalar]], seconds: float) -> Callable[[], list[Predicted]]:
        """Return a function that predicts the rows in a thread; in a process, for at most `seconds`."""
        if self.processes is None:
            return partial(predict, self.bundle, rows)
        return partial(self.processes.predict, rows, seconds)

    def overdue(self, seconds: float) -> str:
        """Return why no thread or process can predict any more; empty while one can.

        Requests in the queue fail at once then.
        """
        return self.threads.all_overdue(seconds) if self.processes is None else self.processes.trouble

    @contextlib.contextmanager
    def used(self) -> Iterator[ServedModel]:
        """Keep the model's threads for as long as a request may need them."""
        self.users += 1
        try:
            yield self
        finally:
            self.users -= 1
            self._close_unused()

    def replace(self) -> None:
        """Send no new requests to this version."""
        self.replaced = True
        self._close_unused()

    def _close_unused(self) -> None:
        if self.replaced and self.users == 0:
            self.threads.close()
            if self.processes is not None:  # outside the event loop: `close` waits until the processes have ended
                threading.Thread(target=self.processes.close, daemon=True).start()


@dataclass(frozen=True)
class Replaced:
    """The version that was served, the version that is served now, and the requests that the old one still has."""

    old: ServedModel
    new: ServedModel
    under_way: int = field(default=0)


class ServedModels:
    """Served models by name; the first is the model of POST /predict. Used from the event loop alone."""

    def __init__(self, settings: Settings) -> None:
        """Load every model. Raises BundleError."""
        self._settings = settings
        self._models: dict[str, ServedModel] = {}
        self.loading = asyncio.Lock()
        for folder in settings.model_paths:
            loaded = self._made(load_bundle(folder), folder)
            if (other := self._models.get(loaded.name)) is not None:
                raise BundleError(f"model_path: {other.folder} and {folder} are both the model {loaded.name!r}")
            self._models[loaded.name] = loaded
            for caution in loaded.bundle.cautions:
                log.warning("%s: %s", folder, caution)

    def __bool__(self) -> bool:
        return bool(self._models)

    @property
    def first(self) -> ServedModel | None:
        """Return the model of POST /predict; None where no model is served."""
        return next(iter(self._models.values()), None)

    def all(self) -> Sequence[ServedModel]:
        """Return all models, in the order of `model_path`."""
        return list(self._models.values())

    def get(self, name: str) -> ServedModel | None:
        """Return a model by its name; None where it is not served."""
        return self._models.get(name)

    async def load(self, name: str, folder: Path) -> ServedModel:
        """Load the bundle of a folder outside the event loop, without serving it yet. Raises BundleError."""
        thread = Threads("load", 1, 0)  # a daemon thread: a model that hangs in its trial does not keep the process
        loading = thread.submit(partial(self._loaded, name, folder), LOAD_SECONDS)
        thread.close()
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                return await asyncio.wrap_future(loading)
        except TimeoutError:
            raise BundleError(f"{folder}: not loaded, with its examples, within {LOAD_SECONDS:g} s") from None

    def _loaded(self, name: str, folder: Path) -> ServedModel:
        """Load a version of a model, with its processes started. Raises BundleError."""
        bundle = load_bundle(folder)
        if bundle.training.model != name:
            raise BundleError(f"{folder}: is the model {bundle.training.model!r}, not {name!r}")
        made = self._made(bundle, folder)
        if made.processes is not None and (wrong := made.processes.started()):
            made.processes.close()
            raise BundleError(f"{folder}: {wrong}")
        return made

    def put(self, new: ServedModel) -> Replaced:
        """Serve a new version from now on. Its predecessor still finishes running and queued requests."""
        old = self._models[new.name]
        self._models[new.name] = new
        under_way = old.users
        old.replace()
        for caution in new.bundle.cautions:
            log.warning("%s: %s", new.folder, caution)
        was, now = old.bundle.training.model_version, new.bundle.training.model_version
        log.info("model %s: %s is served instead of %s, which has %d requests", new.name, now, was, under_way)
        return Replaced(old, new, under_way)

    def folder_of(self, served: ServedModel, named: str | None) -> Path:
        """Return the folder to load: the model's own, or one that is named within `model_root`. Raises Problem 422."""
        if named is None:
            return served.folder
        root = self._settings.model_root
        if root is None:
            raise Problem(422, "folder: no model_root is set, so the model is loaded from its own folder alone")
        home = (root / named).resolve()
        if named in (".", "..") or "/" in named or "\0" in named or home.parent != root.resolve():
            raise Problem(422, "folder: must be the name of a folder in model_root, which leads to no other place")
        return root / named

    def overdue(self, seconds: float) -> str:
        """Name the models without a free thread or process; empty for none. Requests in their queues fail."""
        overdue = {one.name: one.overdue(seconds) for one in self.all()}
        return "; ".join(f"model {name}: {words}" for name, words in overdue.items() if words)

    def look(self, seconds: float) -> None:
        """Set the gauges of the models. A thread is overdue after `seconds`."""
        for one in self.all():
            metrics.API_PREDICT_OVERDUE.labels(one.name).set(one.threads.overdue(seconds))
            metrics.API_PREDICT_WAITING.labels(one.name).set(one.threads.waiting)

    def close(self) -> None:
        """Let all threads end."""
        for one in self.all():
            one.replace()

    def _made(self, bundle: Bundle, folder: Path) -> ServedModel:
        settings = self._settings
        most = settings.predict_processes or settings.threads_of_a_model
        threads = Threads(f"predict-{bundle.training.model}", most, settings.predict_queue)
        metrics.API_PREDICT_TIMEOUTS.labels(bundle.training.model)  # at 0, so that the first timeout is visible
        if not settings.predict_processes:
            return ServedModel(bundle, folder, threads)
        try:
            processes = ModelProcesses(bundle, settings.predict_processes)
        except Exception as error:  # pickling raises anything
            raise BundleError(
                f"{folder}: {type(error).__name__}: the loaded model cannot be pickled, which predict_processes needs: "
                f"{error}"
            ) from error
        return ServedModel(replace(bundle, estimator=None), folder, threads, processes)
