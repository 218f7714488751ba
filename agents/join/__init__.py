"""Predictions and feedback are joined and counted: source partitions become panes."""
