"""What is stored by digest: blobs, code and plain copies."""
