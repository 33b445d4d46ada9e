"""A version in this process, without a server: for notebooks, pytest and `driftgate check`."""
