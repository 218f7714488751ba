"""Panes become reports: windows are added up and evaluated at each pane's end."""
