"""What the built-in entries make of a data set: layers for each column, and an answer for each task."""
