"""The processes of a gateway: started, watched, drained, measured and examined."""
