"""The cluster's API; the only package that imports the Kubernetes client."""
