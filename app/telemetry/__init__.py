"""Telemetry of the processes: metrics, structured logs, traces."""
