"""What the templates share: step templates, parameters, access and overlays."""
