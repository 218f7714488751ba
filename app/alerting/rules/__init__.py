"""Rules that turn reports into verdicts, and verdicts into the state of an alert."""
