"""`driftline dead-letters`: what could not be read, listed and sent again."""
