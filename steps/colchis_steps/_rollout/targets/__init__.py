"""What serves a version: a Deployment or KServe."""
