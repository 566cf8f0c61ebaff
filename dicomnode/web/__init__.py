"""The HTTP face: health, readiness and metrics. Pages and the API join here."""
