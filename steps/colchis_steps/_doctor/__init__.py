"""Facts about a cluster, a bucket and a registry, and the findings drawn from them."""
