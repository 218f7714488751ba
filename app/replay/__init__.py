"""Replay: a file of predictions and feedback, sent into Kafka as events in event-time order."""
