"""The content of monitoring.json as types: windows, thresholds, rules, routes, matchers, weekly hours."""
