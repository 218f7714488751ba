"""Panes against the reference: drift, performance, intervals, and the decision."""
