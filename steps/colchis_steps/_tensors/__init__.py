"""What a model takes and gives, whatever its format: tensors, the values in them, and which format files have."""
