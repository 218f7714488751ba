"""Deletion of keys that one partition of `panes` no longer needs, and of the notes of their windows."""

from __future__ import annotations

from collections.abc import Callable, Generator, MutableMapping
from dataclasses import dataclass, field

from agents.join.pane_events import pane_key, progress_key
from agents.windows import moving_store
from agents.windows.moving_store import PREFIX as MOVING
from agents.windows.usual_store import PREFIX, save
from app.core.join.state import MICROSECONDS
from app.core.panes.slices import Partial
from app.core.traffic.history import TrafficHistory
from app.core.windows.model_windows import ModelWindows
from topics.events import PaneEvent, Progress
from topics.partition import partition_of

Key = tuple[str, str, str]
"""Model, version, profile."""

_AT_ONCE = 500
"""Keys of a table that are checked before other coroutines may get the loop."""

GONE_MS = 7 * 86_400_000
"""Milliseconds for which records of an unregistered profile are kept after the newest: that may be a mistake."""


@dataclass(slots=True)
class UnusedPanes:
    """Keys in `panes` that no windows use. `newest`: the time of their newest record, in milliseconds."""

    newest: int = 0
    panes: set[tuple[str, float, int]] = field(default_factory=set)
    progress: set[int] = field(default_factory=set)


class Leftovers:
    """Records of profiles that are no longer registered, and of panes of another length than is set now."""

    def __init__(self) -> None:
        self._found: dict[tuple[Key, bool], UnusedPanes] = {}

    def take(self, key: Key, event: PaneEvent, timestamp: int, *, of_other_length: bool = False) -> None:
        """Note a record that no windows use."""
        left = self._found.setdefault((key, of_other_length), UnusedPanes())
        left.newest = max(left.newest, timestamp)
        if isinstance(event, Progress):
            left.progress.add(event.partition)
        else:
            left.panes.add((event.kind, event.pane_start, event.partition))

    def gone(self, key: Key, timestamp: int) -> None:
        """Note that a profile is no longer registered, whose newest record came at `timestamp`."""
        left = self._found.setdefault((key, False), UnusedPanes())
        left.newest = max(left.newest, timestamp)

    def back(self, key: Key) -> None:
        """Note that a profile is registered: its records are no leftovers."""
        self._found.pop((key, False), None)

    def over(self, clock: int) -> list[tuple[Key, bool, list[bytes]]]:
        """Return the leftovers that are old enough at `clock`, each once: profile, whether all of it, and keys."""
        old = [found for found, left in self._found.items() if clock - left.newest >= GONE_MS]
        return [(key, not other, _keys(key, self._found.pop((key, other)))) for key, other in old]


def _keys(key: Key, left: UnusedPanes) -> list[bytes]:
    found = [pane_key(*key, kind, start, partition) for kind, start, partition in left.panes]
    return found + [progress_key(*key, partition) for partition in left.progress]


class Notes:
    """Notes of one partition's windows in the agent's table, found without a scan of the whole table."""

    def __init__(self, table: MutableMapping[str, bytes]) -> None:
        self._table = table
        self._oldest: dict[Key, int] = {}

    @classmethod
    def found(
        cls, table: MutableMapping[str, bytes], partition: int, partitions: int, known: set[Key]
    ) -> Generator[None, None, Notes]:
        """Make the notes of the partition's entries in the table, in slices.

        Entries of profiles that are not `known` are deleted: the log has nothing of them, so nothing else would delete
        them.
        """
        notes = cls(table)
        for number, name in enumerate(list(table)):
            if number % _AT_ONCE == 0:
                yield
            key, end = _key_of(name)
            if key is None or partition_of(key[0], key[1], partitions) != partition:
                continue
            if key not in known:
                del table[name]
            elif end is not None:
                notes.noted(key, end)
        return notes

    def noted(self, key: Key, end: int) -> None:
        """Note that a window has a note now."""
        self._oldest[key] = min(end, self._oldest.get(key, end))

    def drop(self, key: Key, before: int | None = None) -> None:
        """Delete the notes of the windows that end before a pane; None: all notes of the profile."""
        oldest = self._oldest.get(key)
        if before is None:
            self._oldest.pop(key, None)
            found = [name for name in list(self._table) if _key_of(name)[0] == key]
        elif oldest is None or oldest >= before:
            return
        else:
            self._oldest[key] = before
            if before - oldest <= len(self._table):
                found = [note_name(key, end) for end in range(oldest, before)]
            else:  # the time has jumped
                ends = {name: _key_of(name) for name in list(self._table)}
                found = [n for n, (of, end) in ends.items() if of == key and end is not None and end < before]
        for name in found:
            if name in self._table:  # Faust writes a tombstone for a missing key, too
                del self._table[name]


class PanePartition:
    """One partition of `panes`: its models, and whether its log has been read to the end once."""

    def __init__(self) -> None:
        self.models: dict[Key, ModelWindows] = {}
        self.caught_up = False
        self.reissued_at = 0.0
        self.next_offset = 0
        self.clock = 0
        """Time of the newest record, in milliseconds."""
        self.seen: dict[Key, int] = {}
        """Time of the newest record of each profile, in milliseconds."""
        self.leftovers = Leftovers()
        self.forgotten: list[bytes] = []
        """Keys of panes that were forgotten before and still exist, after a worker has died or lingered."""
        self.notes: Notes | None = None
        self.judged: dict[Key, int] = {}
        """Time until which each profile was judged, where the table does not have it yet (see `judged_name`)."""


def keys_to_delete(
    part: PanePartition, notes: Notes, table: MutableMapping[str, bytes], registered: Callable[[Key], object | None]
) -> list[bytes]:
    """Forget panes that nothing can reach any more, and note this in the table.

    Return the keys of these panes, each once. They are to be deleted once the table is saved.
    """
    found, part.forgotten = part.forgotten, []
    for key, windows in part.models.items():
        if registered(key) is None:
            part.leftovers.gone(key, part.seen[key])
            continue
        part.leftovers.back(key)
        before = windows.forgotten, windows.first
        dropped = windows.forget()
        save(table, key, windows)
        moving_store.save(table, key, windows)
        if (windows.forgotten, windows.first) != before:
            newest, first = ((pane + 1) * windows.pane for pane in (windows.forgotten, windows.first))
            table[forgotten_name(key)] = b"%d %d %b" % (newest, first, windows.past.packed())
            found += _pane_keys(key, windows, dropped)
            notes.drop(key, windows.first - 1)  # the first one is compared with the note before it
    for key, whole, keys in part.leftovers.over(part.clock):
        if whole and registered(key) is not None:
            continue
        found += keys
        if whole:
            found += _gone(part, key)
            notes.drop(key)
    return list(dict.fromkeys(found))


def _gone(part: PanePartition, key: Key) -> list[bytes]:
    """Drop a profile. Return the keys of its panes and progress."""
    part.seen.pop(key, None)
    windows = part.models.pop(key, None)
    if windows is None:
        return []
    progress = [progress_key(*key, partition) for partition in windows.told_of]
    return _pane_keys(key, windows, windows.drop()) + progress


def _pane_keys(key: Key, windows: ModelWindows, partials: list[Partial]) -> list[bytes]:
    return [pane_key(*key, kind, pane * windows.pane / MICROSECONDS, partition) for kind, pane, partition in partials]


def note_name(key: Key, end: int) -> str:
    """Return the table's key of a window's note."""
    return f"{'/'.join(key)}/{end}"


_FORGOTTEN = "@forgotten "
"""Prefix of the table's key of a profile's newest forgotten pane.

The value has, in microseconds, the end of that pane and of the oldest window that is judged. The traffic of the last
days follows, packed. One value has both, so that no pane is forgotten without being counted there.
"""


_JUDGED = "@judged "
"""Prefix of the table's key of a profile's newest judged window.

The value is the window's end in microseconds, or the start of the first window where none was judged.
"""


def judged_name(key: Key) -> str:
    """Return the table's key of the time until which a profile was judged."""
    return _JUDGED + "/".join(key)


def forgotten_name(key: Key) -> str:
    """Return the table's key of a profile's newest forgotten pane."""
    return _FORGOTTEN + "/".join(key)


def resume(windows: ModelWindows, value: bytes) -> None:
    """Resume from the table's value of a profile's forgotten panes."""
    newest, first, *past = value.split(b" ", 2)
    for packed in past:
        windows.remember(TrafficHistory.unpacked(packed))
    windows.forget_to(int(newest) // windows.pane - 1, int(first) // windows.pane - 1)


def version_of_note(name: str) -> tuple[str, str] | None:
    """Return the model version that a window's note is about; None where the table's key is not a note's."""
    key, end = _key_of(name)
    return None if key is None or end is None else (key[0], key[1])


def _key_of(name: str) -> tuple[Key | None, int | None]:
    """Return the profile of a key of the table, and the end of the window if the key is a note's."""
    names = name.removeprefix(_FORGOTTEN).removeprefix(_JUDGED).removeprefix(PREFIX).removeprefix(MOVING).split("/")
    if name.startswith((_FORGOTTEN, _JUDGED, PREFIX, MOVING)):
        return (names[0], names[1], names[2]), None
    if name.startswith("@"):
        return None, None
    return (names[0], names[1], names[2]), int(names[3])
