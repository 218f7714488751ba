"""A model in processes of its own: what hangs or crashes is ended and started again, and nothing else waits for it."""

from __future__ import annotations

import importlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.served.model_process import ModelLost, ModelProcesses, ModelRaised, _environment
from api.served.models import ServedModels
from app.serving import BundleError, UnfitRows, load_bundle, save_bundle
from app.settings.settings import load_settings
from tests.support.namesakes import write_namesakes
from tests.support.served_model import save_stubborn
from tests.support.stubborn_model import CRASHES, FAILS, HANGS, PID, Locked

SECONDS = 60.0


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[ModelProcesses]:
    found = ModelProcesses(load_bundle(save_stubborn(tmp_path / "m")), 1)
    try:
        yield found
    finally:
        found.close()


def ask(processes: ModelProcesses, *ages: float, seconds: float = SECONDS) -> list[Any]:
    return [one.prediction for one in processes.predict([{"age": age} for age in ages], seconds)]


def test_what_hangs_or_crashes_is_ended_and_started_again(
    processes: ModelProcesses, caplog: pytest.LogCaptureFixture
) -> None:
    assert ask(processes, 3, 4) == [6, 8]
    (first,) = processes.pids
    assert ask(processes, PID) == [first]
    assert first != os.getpid()
    with pytest.raises(
        ModelLost, match=r"has not answered within 0\.2 s \(predict_seconds\); its process was ended"
    ) as lost:
        ask(processes, HANGS, seconds=0.2)
    assert lost.value.hung
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    assert ask(processes, 3) == [6]  # it waits for the new one
    (second,) = processes.pids
    assert second != first
    with pytest.raises(ModelLost, match=r"ended while it predicted \(SIGSEGV\); it is started again") as lost:
        ask(processes, CRASHES)
    assert not lost.value.hung
    assert "is being started" in processes.trouble
    with pytest.raises(ModelLost, match="is being started"):
        ask(processes, 3, seconds=0.0)
    assert ask(processes, 3) == [6]
    assert processes.trouble == ""
    (third,) = processes.pids
    os.kill(third, signal.SIGKILL)  # while nobody asks, for want of memory
    assert until(lambda: processes.pids not in ([], [third]))
    assert ask(processes, 3) == [6]  # no caller is told of it
    assert "model m 1: its process has not answered within 0.2 s (predict_seconds), and is ended" in caplog.text
    for how in ("SIGKILL", "SIGSEGV"):
        assert f"model m 1 is being started again: its process ended ({how}); it is started again in" in caplog.text


def test_what_a_model_raises_is_known_and_one_that_hangs_keeps_no_other_waiting(tmp_path: Path) -> None:
    found = ModelProcesses(load_bundle(save_stubborn(tmp_path / "m", tried=False)), 2)
    try:
        with pytest.raises(UnfitRows, match="age: expected a number, got a text"):
            found.predict([{"age": "x"}], SECONDS)
        with pytest.raises(ModelRaised) as raised:
            ask(found, FAILS)
        assert raised.value.kind == "RuntimeError"
        assert "stubborn_model.py:" in raised.value.told
        assert "canary" not in raised.value.told + str(raised.value)
        began, lost = threading.Event(), []

        def hang() -> None:
            began.set()
            with pytest.raises(ModelLost) as error:
                ask(found, HANGS, seconds=3.0)
            lost.append(error.value.hung)

        hanging = threading.Thread(target=hang)
        hanging.start()
        assert began.wait(20)
        assert ask(found, 3) == ask(found, 3) == [6]
        hanging.join(30)
        assert lost == [True]
        assert len(found.pids) >= 1
        assert found.started() == ""
        pids = found.pids
    finally:
        found.close()
    assert not found.pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(ModelLost):
        ask(found, 3, seconds=0.1)


def test_a_model_that_cannot_be_loaded_in_its_process_says_so_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_namesakes(tmp_path)
    (tmp_path / "elsewhere.py").write_text("class Model:\n    def predict(self, frame):\n        return frame['age']\n")
    with monkeypatch.context() as known:
        known.syspath_prepend(str(tmp_path))
        model = importlib.import_module("elsewhere").Model()
        save_bundle(tmp_path / "m", model, {"age": "numeric"}, model="m", model_version="1")
        bundle = load_bundle(tmp_path / "m")
    found = ModelProcesses(bundle, 1)
    try:
        assert found.started().startswith("model m 1 cannot be started in its process: ModuleNotFoundError at ")
        monkeypatch.syspath_prepend(str(tmp_path))
        assert until(lambda: not found.trouble)
        assert ask(found, 3) == [3]
    finally:
        found.close()


def test_a_model_that_cannot_be_handed_to_a_process_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    save_bundle(tmp_path / "m", Locked(0.0), {"age": "numeric"}, model="m", model_version="1")
    settings = load_settings(model_path=tmp_path / "m")
    assert ServedModels(settings)
    with pytest.raises(BundleError, match="/m: TypeError: the loaded model cannot be pickled, which predict_processes"):
        ServedModels(settings.model_copy(update={"predict_processes": 1}))


def until(true: Callable[[], bool]) -> bool:
    """Wait for what nothing tells."""
    deadline = time.monotonic() + 60
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    return true()


def test_no_setting_of_driftline_reaches_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE_SASL_PASSWORD", "secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    given = _environment()
    assert "secret" not in given.values()
    assert given["OMP_NUM_THREADS"] == given["PYTHONSAFEPATH"] == "1"
