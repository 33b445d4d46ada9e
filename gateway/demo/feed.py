"""The demo's weather feed, once it has silently changed its unit: a process that loads what it says now."""

import argparse
from pathlib import Path

from driftgate.gateway.demo.stored import load_weather_in_celsius


def main() -> None:
    """Load the weather, with temperatures in degrees Celsius, into `--features`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=Path, required=True)
    load_weather_in_celsius(parser.parse_args().features)


if __name__ == "__main__":
    main()
