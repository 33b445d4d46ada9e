"""Which version answers a request and why. Pure."""
