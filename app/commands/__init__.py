"""The commands of `driftline`, one module a group. Heavy imports stay inside them: `--help` is fast."""
