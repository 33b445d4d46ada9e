"""The data plane: the life of a prediction in one worker."""
