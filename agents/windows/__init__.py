"""The windows agent: adds panes up to windows, and evaluates them at each pane's end."""
