"""What is remembered of a started broker, beside its data: enough to recognise it, and to stop a leftover one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec

FILE = "broker.json"


class BrokerRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`owner` is the process with which the broker ends; None for a persistent broker."""

    pid: int
    port: int
    owner: int | None

    def is_wanted(self, data_dir: Path) -> bool:
        """Whether the broker runs and is to go on running."""
        return is_alive(self.pid, data_dir) and (self.owner is None or command_of(self.owner) is not None)

    def write(self, data_dir: Path) -> None:
        """Remember it."""
        new = data_dir / f"{FILE}.new"
        new.write_bytes(msgspec.json.encode(self))
        new.replace(data_dir / FILE)

    @classmethod
    def read(cls, data_dir: Path) -> BrokerRecord | None:
        """What is remembered, if anything."""
        try:
            return msgspec.json.decode((data_dir / FILE).read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError):
            return None

    @staticmethod
    def forget(data_dir: Path) -> None:
        """Remember nothing."""
        (data_dir / FILE).unlink(missing_ok=True)


def is_alive(pid: int, data_dir: Path) -> bool:
    """Whether process `pid` is the broker of `data_dir`, and no other that has its number by now."""
    return f"kafka.Kafka {data_dir.absolute() / 'server.properties'}" in (command_of(pid) or "")


def command_of(pid: int) -> str | None:
    """The command line of a running process; None where there is none, or only its remains."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode() or None
    except OSError:
        if Path("/proc/self").exists():
            return None
    listed = subprocess.run(["ps", "-o", "stat=,args=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, command = listed.stdout.strip().partition(" ")
    return None if not command or state.startswith("Z") else command.strip()
