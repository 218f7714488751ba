"""Topics, events and their encoding."""
