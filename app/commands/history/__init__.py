"""`driftline history`: recorded trainings, deployments, predictions, reports and notifications."""
