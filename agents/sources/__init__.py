"""Agents that map the records of other systems' topics to predictions and feedback."""
