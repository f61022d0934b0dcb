"""The handler that runs operator bodies as IR, complex values included."""
