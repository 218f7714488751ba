"""The state of one partition's join: rows, feedback, deltas, expiry."""
