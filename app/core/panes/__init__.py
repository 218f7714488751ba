"""Counting rows into panes that can be added up."""
