"""A step's process: errors, flags, outputs, progress and the entry point."""
