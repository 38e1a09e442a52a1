"""Data sets: reading, importing, profiling and validating them."""
