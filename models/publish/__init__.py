"""A graph and all that is known about it become an immutable version."""
