"""What a version says of itself: names, signature, manifest, columns, and the features bound to them."""
