"""Pure Kubernetes objects, built without a client."""
