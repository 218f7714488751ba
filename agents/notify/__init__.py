"""The notify agent: groups alerts, routes them, sends notifications, and records the deliveries."""
