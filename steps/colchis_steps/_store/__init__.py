"""Objects by key, in a directory or a bucket."""
