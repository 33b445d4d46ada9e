"""The dashboard: its pages, and what they are told of windows and traffic."""
