"""`driftline alerts` and its subcommands."""
