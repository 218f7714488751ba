"""The models that the API serves: each with its threads, and replaced without a request refused."""

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
"""How long another version may take until it can be served."""


@dataclass(eq=False)
class ServedModel:
    """One loaded version. `users`: requests that have it; replaced, its threads end when there is none left.

    `processes`: in which it predicts; None where it does so in its threads. Else each thread waits for one of them, and
    `bundle` has no estimator.
    """

    bundle: Bundle
    folder: Path
    threads: Threads
    processes: ModelProcesses | None = None
    users: int = 0
    replaced: bool = False

    @property
    def name(self) -> str:
        """The model's name."""
        return self.bundle.training.model

    def call(self, rows: Sequence[Mapping[str, Scalar]], seconds: float) -> Callable[[], list[Predicted]]:
        """Return what predicts the rows in a thread; in a process not for longer than so many seconds."""
        if self.processes is None:
            return partial(predict, self.bundle, rows)
        return partial(self.processes.predict, rows, seconds)

    def overdue(self, seconds: float) -> str:
        """Say that nothing is left that could predict; empty while there is. What waits for threads fails at once."""
        return self.threads.all_overdue(seconds) if self.processes is None else self.processes.trouble

    @contextlib.contextmanager
    def used(self) -> Iterator[ServedModel]:
        """Keep its threads for as long as a request may need them."""
        self.users += 1
        try:
            yield self
        finally:
            self.users -= 1
            self._close_unused()

    def replace(self) -> None:
        """Nothing new comes to it."""
        self.replaced = True
        self._close_unused()

    def _close_unused(self) -> None:
        if self.replaced and self.users == 0:
            self.threads.close()
            if self.processes is not None:  # beside the event loop: it waits until they are gone
                threading.Thread(target=self.processes.close, daemon=True).start()


@dataclass(frozen=True)
class Replaced:
    """What was served until now, what is from now on, and how many requests the old one still has."""

    old: ServedModel
    new: ServedModel
    under_way: int = field(default=0)


class ServedModels:
    """By name; the first of them is what POST /predict asks. Used from the event loop alone."""

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
        """What POST /predict asks; None where none is served."""
        return next(iter(self._models.values()), None)

    def all(self) -> Sequence[ServedModel]:
        """All of them, in the order of `model_path`."""
        return list(self._models.values())

    def get(self, name: str) -> ServedModel | None:
        """One of them by its name."""
        return self._models.get(name)

    async def load(self, name: str, folder: Path) -> ServedModel:
        """Load what a folder has now, beside the event loop; nothing is served by it yet. Raises BundleError."""
        thread = Threads("load", 1, 0)  # a daemon's: a model that hangs in its trial does not keep the process
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
        """Serve it from now on. What its predecessor has begun, or let wait, it still finishes."""
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
        """Name the models of which no thread, or process, is left; empty for none. What waits for threads fails."""
        overdue = {one.name: one.overdue(seconds) for one in self.all()}
        return "; ".join(f"model {name}: {words}" for name, words in overdue.items() if words)

    def look(self, seconds: float) -> None:
        """Set the gauges that are looked up. `seconds`: from when on a thread is overdue."""
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
        metrics.API_PREDICT_TIMEOUTS.labels(bundle.training.model)  # at 0, so that the first one shows
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
