"""All queries. One file per noun; every function takes the session of the caller's unit of work."""
