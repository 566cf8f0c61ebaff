"""enhance -> derive before its time: idle workers enhance slices of series that still come in, for their jobs."""
