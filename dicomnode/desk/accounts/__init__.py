"""Accounts, their sessions and tokens."""
