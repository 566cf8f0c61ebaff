"""What was derived from a source that turned out to be wrong, and who is told of it."""
