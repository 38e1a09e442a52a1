"""Signatures over versions' statements: made by one key, held against those that are trusted."""
