"""Volume of predictions, compared with the hours before and with the same hours of yesterday and last week."""
