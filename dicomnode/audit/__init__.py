"""The audit log: append-only events, sealed into a hash chain."""
