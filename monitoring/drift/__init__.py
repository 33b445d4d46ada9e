"""Drift: evidence that windows are not like the reference, and what is said of it."""
