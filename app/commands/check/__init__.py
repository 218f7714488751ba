"""`driftline check`: the decision of the stream on two files."""
