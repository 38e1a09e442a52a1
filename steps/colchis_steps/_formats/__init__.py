"""Every document of the store, and the keys under which they lie."""
