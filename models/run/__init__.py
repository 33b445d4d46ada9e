"""A version in a process: opened on trial, measured, run, compared with its golden outputs, and freed."""
