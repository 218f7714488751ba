"""Alerts become notifications: grouped, routed, sent, and recorded."""
