"""`python -m loadtests`: play scenarios, prove promises, run the bench."""

from loadtests.cli import app

if __name__ == "__main__":
    app(prog_name="python -m loadtests")
