"""`driftline register`: register a model version with its reference table."""
