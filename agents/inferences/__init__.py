"""The inferences agent: makes predictions of the requests and responses of inference services."""
