"""Replay of a file of predictions and feedback: its events are sent to Kafka in event-time order."""
