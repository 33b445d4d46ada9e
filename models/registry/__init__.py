"""What is published, as directories and as one immutable snapshot, and the private cache of it."""
