"""From a reference table to a registered model version."""
