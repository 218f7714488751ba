"""Supervised child processes, ports, files, and the end of a process."""
