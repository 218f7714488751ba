"""Counting of rows into panes that can be added up."""
