"""Which times are believed, at every door alike: what one takes, every reader can read."""

EARLIEST, LATEST = 0.0, 4_102_444_800.0
"""Timestamps from 1970 until before 2100, in seconds since the epoch."""
