"""Commands of `driftline`, one module per group. Heavy imports stay inside the commands, so that `--help` is fast."""
