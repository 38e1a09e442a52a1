"""Scores of an exported model, and the gate that judges them."""
