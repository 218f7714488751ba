"""From the bytes of records to columns: strict, and whole runs at a time."""
