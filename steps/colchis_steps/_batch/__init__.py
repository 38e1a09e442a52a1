"""Predictions of a version for many rows, part by part."""
