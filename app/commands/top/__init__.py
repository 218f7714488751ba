"""`driftline top`: the state of every model version in a terminal."""
