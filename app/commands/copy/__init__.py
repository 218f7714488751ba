"""`driftline copy`: registrations, silences and state from one prefix to another."""
