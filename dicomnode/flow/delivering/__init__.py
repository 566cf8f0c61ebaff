"""derive -> deliver: where committed outputs go, what is decoded on the way, and series as files."""
