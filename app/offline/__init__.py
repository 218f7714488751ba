"""The decision of the stream on files, without Kafka."""
