"""The profile of a model version's reference, and the layout of its counts."""
