"""A model version: publish it, find it, load it, run it. Knows no HTTP, no routing and no monitoring."""
