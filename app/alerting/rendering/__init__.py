"""From alerts to the content of a notification: text, rows, pictures, templates."""
