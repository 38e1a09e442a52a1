"""Nodes of a run, local or on a cluster, and how a terminal shows them."""
