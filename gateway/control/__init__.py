"""Control: look at the world, decide, commit."""
