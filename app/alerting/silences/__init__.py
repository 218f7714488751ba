"""Silences: requested, checked, kept in a topic, and expired."""
