"""Settings from driftline.toml and DRIFTLINE_…, one module for each area."""
