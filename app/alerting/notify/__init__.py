"""Notification of channels about alerts: groups, routes, silences and retries."""
