"""What a turn asks of a store, and what it makes of the answer: freshness, policies, skew."""
