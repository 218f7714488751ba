"""Records that wait on the disk: in order, at least once, bounded, private, whatever ends the process."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.served.spooling import check_spool
from app.serving import spool as module
from app.serving.spool import Spool, SpoolError, SpoolFull, waits_in
from app.settings.settings import SettingsError, load_settings

ROOM = 1 << 20
RECORDS = st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b" ")), min_size=1, max_size=5)
STEPS = st.lists(
    st.tuples(st.just("append"), RECORDS)
    | st.tuples(st.sampled_from(["send", "kill", "kill while it is sent", "kill while it is written"]), st.none()),
    max_size=8,
)


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", 150)


@pytest.mark.usefixtures("small_segments")
@given(steps=STEPS)
def test_what_was_kept_is_sent_in_order_at_least_once_whatever_ends_the_process(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, list[bytes] | None]]
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    kept: list[bytes] = []
    sent: list[bytes] = []
    spool = opened(folder)
    for step, records in steps:
        if step == "append":
            assert records is not None
            spool.append(records)
            kept += records
        elif step == "send":
            sent += spool.oldest()
            if spool.waiting:
                spool.discard()
        else:
            if step == "kill while it is sent":
                spool.oldest()
            files = sorted(folder.glob("*.spool"))
            is_torn = step == "kill while it is written" and bool(files)
            if is_torn:
                with files[-1].open("ab") as file:
                    file.write(b"0123abcd 17000000")
            spool.close()  # the kernel does it for a process that is killed
            spool = opened(folder)
            assert spool.torn == is_torn
        assert spool.waiting == len(kept) - len(sent)
    while spool.waiting:
        sent += spool.oldest()
        spool.discard()
    assert sent == kept
    assert spool.damaged == 0
    assert not waits_in(folder)
    spool.close()


def opened(folder: Path, most_bytes: int = ROOM) -> Spool:
    spool = Spool(folder, most_bytes)
    spool.open()
    return spool


def test_it_is_bounded_and_says_so_and_takes_again_what_there_is_room_for(tmp_path: Path) -> None:
    spool = opened(tmp_path / "s", 200)
    spool.append([b"x" * 100])
    before = spool.size
    with pytest.raises(SpoolFull, match=r"is full: 124 of 200 bytes \(spool_mib\)"):
        spool.append([b"y" * 100])
    assert (spool.waiting, spool.size) == (1, before)
    assert sum(path.stat().st_size for path in (tmp_path / "s").iterdir()) == before
    assert spool.oldest() == [b"x" * 100]
    spool.discard()
    spool.append([b"y" * 100])
    assert spool.oldest() == [b"y" * 100]


def test_its_files_are_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        opened(tmp_path / "s").append([b"a"])
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "s").iterdir()}
    assert (modes, stat.S_IMODE((tmp_path / "s").stat().st_mode)) == ({0o600}, 0o700)


def test_a_process_leaves_to_another_what_it_has_until_it_is_gone(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path)
    one.append([b"a"])
    other.append([b"b"])
    third = opened(tmp_path)
    assert third.waiting == 0
    one.close()
    assert third.open() == [b"a"]
    assert other.oldest() == [b"b"]
    assert third.oldest() == [b"a"]


def test_a_damaged_line_is_counted_and_kept_for_people_and_the_others_are_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = opened(tmp_path)
    spool.append([b"first", b"second", b"third"])
    spool.close()
    (path,) = tmp_path.glob("*.spool")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"second", b"sec\x00nd") + b"\x00" * 9)
    spool = Spool(tmp_path, ROOM)
    assert spool.open() == [b"first", b"third"]
    assert (spool.damaged, spool.torn) == (1, 1)
    assert str(path) in caplog.text
    assert b"sec\x00nd" in path.with_suffix(".damaged").read_bytes()


def test_half_a_line_of_a_full_disk_is_taken_back_and_nothing_is_written_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = opened(tmp_path)
    spool.append([b"first"])
    write = os.write

    def full(fd: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", no_space)
        return write(fd, data[:5])

    def no_space(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(SpoolError, match=r"cannot write to the spool .*: No space left on device"):
        spool.append([b"second"])
    monkeypatch.undo()
    spool.append([b"third"])
    spool.close()
    again = Spool(tmp_path, ROOM)
    assert again.open() == [b"first", b"third"]
    assert (again.damaged, again.torn) == (0, 0)


def test_its_age_is_that_of_the_oldest(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    assert spool.age(time.time()) == 0
    began = time.time()
    spool.append([b"a"])
    spool.append([b"b"])
    assert spool.age(began + 100) == pytest.approx(100, abs=10)
    spool.close()
    assert opened(tmp_path).age(began + 100) == pytest.approx(100, abs=10)


def test_a_folder_that_cannot_be_made_is_said_before_anything_waits(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = load_settings(when_unrecorded="spool", spool_dir=tmp_path / "file")
    with pytest.raises(SettingsError, match=r"spool_dir: cannot make .*file: File exists"):
        check_spool(settings)
    check_spool(load_settings(spool_dir=tmp_path / "file"))
    check_spool(load_settings(when_unrecorded="spool", state_dir=tmp_path))
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700
