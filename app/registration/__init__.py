"""Registration of model versions from reference tables."""
