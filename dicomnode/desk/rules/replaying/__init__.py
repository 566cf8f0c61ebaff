"""Trying a document on the past: every series of a period is decided on again, by what decides when one completes."""
