"""A run, described and drawn."""
