"""A data set is read once, held against its manifest, schema and rules, profiled, and compared with another."""
