"""What `bench receive` and `bench deliver` share: made instances, senders, peers, rows, figures, goals."""
