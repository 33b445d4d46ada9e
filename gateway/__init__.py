"""The hall: HTTP edges, the pipeline, routing, processes and the command line."""
