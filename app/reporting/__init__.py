"""Self-contained HTML page about one window of a model version, for example to attach to a ticket."""
