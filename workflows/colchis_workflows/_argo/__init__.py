"""Argo's documents and languages: templates, tags, conditions, expressions and durations."""
