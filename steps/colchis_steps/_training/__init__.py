"""Training inside a worker."""
