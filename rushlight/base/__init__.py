"""The lowest layer: switches from the environment and the builder of error messages. Imports nothing of Rushlight."""
