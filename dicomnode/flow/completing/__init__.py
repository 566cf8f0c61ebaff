"""store -> complete -> route: series grow, are complete, and what the rules decide becomes work."""
