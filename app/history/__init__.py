"""The history of models: what was trained, deployed, predicted and found."""
