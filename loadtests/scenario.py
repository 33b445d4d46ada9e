"""A scenario: what is served, what is asked, how often and for how long, in a small TOML file."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from loadtests.arrivals import Arrivals, Point

DIRECTORY = Path(__file__).parent / "scenarios"

Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class InvalidScenario(Exception):
    """A scenario file that says something impossible; the text names file and field."""


class LoadPoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The offered load at one moment: requests per second, or a share of the peak measured first."""

    at_s: Annotated[float, msgspec.Meta(ge=0)]
    rate: Annotated[float, msgspec.Meta(ge=0)] | None = None
    peak: Annotated[float, msgspec.Meta(ge=0)] | None = None

    def __post_init__(self) -> None:
        if (self.rate is None) == (self.peak is None):
            raise ValueError("a point of the load has either a rate or a share of the peak")


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of request: a model of the zoo, which it is published as too, and how rows are sent."""

    model: str
    encoding: Literal["json", "binary", "signed"] = "json"
    rows: Count = 1
    weight: Positive = 1.0


class Swap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Versions of a model that take turns at having all traffic."""

    model: str
    versions: Annotated[int, msgspec.Meta(ge=2)] = 2
    every_s: Positive = 1.0


class SlowClients(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Connections that send a request byte by byte and never finish it."""

    connections: Count
    bytes_per_s: Positive = 1.0


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything about one run. `allowed` are kinds of error that belong to it."""

    description: str
    load: tuple[LoadPoint, ...]
    ask: tuple[Ask, ...]
    workers: Count = 1
    connections: Count = 64
    timeout_s: Positive = 5.0
    allowed: tuple[str, ...] = ()
    swap: Swap | None = None
    slow_clients: SlowClients | None = None

    @property
    def needs_peak(self) -> bool:
        """Whether any load is a share of the peak."""
        return any(point.peak is not None for point in self.load)

    def arrivals(self, peak: float, scale: float = 1.0) -> Arrivals:
        """Return when requests are due; `scale` stretches the time."""
        return Arrivals(tuple(Point(point.at_s * scale, _rate(point, peak)) for point in self.load))


def names() -> list[str]:
    """Return the names of the scenarios that come with the project."""
    return sorted(path.stem for path in DIRECTORY.glob("*.toml"))


def load_scenario(name: str) -> Scenario:
    """Return a scenario by its name or the path of its file; raise InvalidScenario."""
    path = Path(name) if name.endswith(".toml") else DIRECTORY / f"{name}.toml"
    try:
        return parse_scenario(path.read_text(), path.name)
    except OSError as error:
        known = ", ".join(names())
        raise InvalidScenario(
            f"there is no scenario {name!r}: take one of {known}, or a .toml file"
        ) from error


def parse_scenario(text: str, source: str) -> Scenario:
    """Return the scenario in a TOML text; raise InvalidScenario naming `source` and the field."""
    try:
        scenario = msgspec.convert(tomllib.loads(text), Scenario)
        scenario.arrivals(peak=1.0)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, ValueError) as error:
        raise InvalidScenario(f"{source}: {error}") from error
    if not scenario.ask:
        raise InvalidScenario(f"{source}: nothing is asked; add an [[ask]]")
    if scenario.swap and scenario.swap.model not in {ask.model for ask in scenario.ask}:
        raise InvalidScenario(f"{source}: [swap] names {scenario.swap.model!r}, which nobody asks")
    return scenario


def _rate(point: LoadPoint, peak: float) -> float:
    return point.rate if point.rate is not None else peak * (point.peak or 0.0)
