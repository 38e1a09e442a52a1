"""A model of any format in this process."""
