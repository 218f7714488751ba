"""Comparison of panes with the reference: drift, performance, intervals, and the decision."""
