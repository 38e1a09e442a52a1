"""The model server itself."""
