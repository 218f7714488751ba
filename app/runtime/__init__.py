"""Settings, Faust, the batch transport, brokers and processes."""
