"""Applications to compare with; each is started with uvicorn and gets its model from LOADTESTS_MODEL."""
