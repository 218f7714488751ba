"""Alert events that are published for transitions: their facts and their text."""
