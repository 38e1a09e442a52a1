"""Image repositories, and images in the OCI format."""
