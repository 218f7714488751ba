"""From reports to alerts, and from alerts to the channels that tell of them."""
