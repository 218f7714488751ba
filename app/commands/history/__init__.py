"""`driftline history`: what was trained, deployed, predicted, found and sent."""
