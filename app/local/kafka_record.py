"""Record of a started broker in its data folder, to recognise the broker and to stop a leftover one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec

FILE = "broker.json"


class BrokerRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Record of a broker. `owner`: the process with which the broker ends; None for a persistent broker."""

    pid: int
    port: int
    owner: int | None

    def is_wanted(self, data_dir: Path) -> bool:
        """Return whether the broker runs and should continue to run."""
        return is_alive(self.pid, data_dir) and (self.owner is None or command_of(self.owner) is not None)

    def write(self, data_dir: Path) -> None:
        """Write the record."""
        new = data_dir / f"{FILE}.new"
        new.write_bytes(msgspec.json.encode(self))
        new.replace(data_dir / FILE)

    @classmethod
    def read(cls, data_dir: Path) -> BrokerRecord | None:
        """Return the record; None where there is none or it cannot be read."""
        try:
            return msgspec.json.decode((data_dir / FILE).read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError):
            return None

    @staticmethod
    def forget(data_dir: Path) -> None:
        """Delete the record."""
        (data_dir / FILE).unlink(missing_ok=True)


def is_alive(pid: int, data_dir: Path) -> bool:
    """Return whether process `pid` is the broker of `data_dir`, not a later process with the same pid."""
    return f"kafka.Kafka {data_dir.absolute() / 'server.properties'}" in (command_of(pid) or "")


def command_of(pid: int) -> str | None:
    """Return the command line of a running process; None where there is none, or only a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode() or None
    except OSError:
        if Path("/proc/self").exists():
            return None
    listed = subprocess.run(["ps", "-o", "stat=,args=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, command = listed.stdout.strip().partition(" ")
    return None if not command or state.startswith("Z") else command.strip()
