"""Moving versions into and out of traffic."""
