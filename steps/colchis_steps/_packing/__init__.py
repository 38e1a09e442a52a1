"""Packing a model into an image."""
