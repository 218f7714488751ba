"""What travels, written down: AsyncAPI, JSON Schemas, and the record of every wire version."""
