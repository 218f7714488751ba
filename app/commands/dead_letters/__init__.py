"""`driftline dead-letters`: dead letters, listed and sent again."""
