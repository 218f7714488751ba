"""Pure computation: no I/O, no clock, no Kafka, no logging."""
