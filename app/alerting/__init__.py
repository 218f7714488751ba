"""Alerting: alerts from reports, and their notifications on channels."""
