"""Data made of other data by a command of the user's, which meets files alone."""
