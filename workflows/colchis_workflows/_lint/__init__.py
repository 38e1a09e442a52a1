"""The checks of ``colchis lint``."""
