"""From a rule's transition to an alert event: its text, links and related windows."""
