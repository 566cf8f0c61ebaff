"""The audit log at the desk: search it, export it, verify it."""
