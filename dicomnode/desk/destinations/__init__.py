"""What people do with destinations: see how each fares, ask it, pause and resume it."""
