"""The processes of a gateway: started, watched, drained and examined."""
