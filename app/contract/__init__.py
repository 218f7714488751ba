"""Contract of the topics: AsyncAPI, JSON Schemas, and the record of every wire version."""
