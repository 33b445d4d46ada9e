"""Load tests: an open-loop generator, scenarios, promises at full size and a bench. Speaks HTTP only."""
