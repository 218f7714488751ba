"""Faust with batches of records: transport, commits, reading order, recovery, watchdog."""
