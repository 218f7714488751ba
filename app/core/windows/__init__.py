"""Windows as sums of panes."""
