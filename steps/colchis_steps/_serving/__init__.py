"""What other parts know of a model server: its configuration, client and daemon."""
