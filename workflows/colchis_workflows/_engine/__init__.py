"""The local engine, which runs a rendered template on this machine."""
