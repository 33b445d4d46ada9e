"""What a feature view is: its declaration, the keys of its entities, and what is known of a value."""
