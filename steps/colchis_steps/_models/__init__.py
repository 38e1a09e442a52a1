"""Candidates, versions, aliases and provenance of models."""
