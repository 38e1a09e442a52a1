"""Submitting a workflow to a cluster, following it and summing it up."""
