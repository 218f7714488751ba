"""Panes added up to windows."""
