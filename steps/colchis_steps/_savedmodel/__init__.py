"""The SavedModel format: export, loading, warm-up and framework versions."""
