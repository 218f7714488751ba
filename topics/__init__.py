"""What travels: topics, events and their encoding."""
