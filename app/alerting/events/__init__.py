"""A transition as the event that is published: its facts, and their text."""
