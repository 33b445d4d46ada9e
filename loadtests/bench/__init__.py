"""The bench: a bare application, a usual one and ours, side by side in one run."""
