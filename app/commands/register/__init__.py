"""`driftline register`: a reference table becomes a registered model version."""
