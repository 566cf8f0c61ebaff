"""Copies of the log for a collector: PS3.15 A.5 audit messages by syslog over TLS (RFC 5424, RFC 5425)."""
