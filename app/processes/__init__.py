"""Child processes that are supervised, ports, files, and how a process ends."""
