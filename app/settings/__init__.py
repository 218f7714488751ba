"""Settings from driftline.toml and DRIFTLINE_…: one file for each area."""
