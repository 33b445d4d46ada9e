"""The demo: two models on real public data, trained, published, served, swapped and measured."""
