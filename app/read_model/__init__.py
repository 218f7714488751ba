"""The newest reports and alerts in memory, for the dashboard, `top` and `report`."""
