"""What starts and follows the workers: processes of this machine, or jobs of a cluster."""
