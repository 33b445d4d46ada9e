"""Training sets as serving would have seen them."""
