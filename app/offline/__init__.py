"""The stream's decision, made on files without Kafka."""
