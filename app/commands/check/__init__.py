"""`driftline check`: the decision of the stream for two files."""
