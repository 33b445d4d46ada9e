"""What the bench compares and what it must come to."""

from loadtests.bench.measure import Cell, Goal

MODELS = ("tiny", "trees", "wide")
CONCURRENCIES = (1, 16, 64)
HALF = "at half"
BESIDE = "at half, slow beside"


def cells() -> tuple[Cell, ...]:
    """Return every cell of a round, in an order that starts each server once for each model."""
    found: list[Cell] = []
    for model in MODELS:
        if model == "tiny":
            found += [Cell("ceiling", model, "json", number) for number in CONCURRENCIES]
        for server, encodings in (("floor", ("json",)), ("day one", ("json",)), ("ours", ("json", "binary"))):
            found += [Cell(server, model, sent, number) for sent in encodings for number in CONCURRENCIES]
    found += [Cell("ours, log off", "tiny", "json", number) for number in (16, 64)]
    found += [Cell("ours, guarded", "tiny", "json", number) for number in (16, 64)]
    found += [Cell("ours, log written", "tiny", "json", 16)]
    found += [Cell("ours, 2 workers", "tiny", "json", number) for number in (16, 32)]
    return tuple(found)


def _against_floor(name: str, ours: Cell, at_least: float) -> Goal:
    other = Cell("floor", ours.model, "json", ours.connections)
    return Goal(name, ours, other, "rate", at_least=at_least)


def _tiny(server: str, connections: int, encoding: str = "json") -> Cell:
    return Cell(server, "tiny", encoding, connections)


GOALS = (
    _against_floor("tiny, JSON, 16: everything on over floor", _tiny("ours", 16), 1.0),
    _against_floor("tiny, JSON, 64: everything on over floor", _tiny("ours", 64), 1.2),
    _against_floor("tiny, JSON, 16: log off over floor", _tiny("ours, log off", 16), 1.1),
    _against_floor("tiny, JSON, 64: log off over floor", _tiny("ours, log off", 64), 1.3),
    _against_floor("tiny, JSON, 16: 3 arms, tokens and quotas over floor", _tiny("ours, guarded", 16), 1.0),
    _against_floor("tiny, JSON, 64: 3 arms, tokens and quotas over floor", _tiny("ours, guarded", 64), 1.2),
    Goal("tiny, JSON, 1: p50 over floor's", _tiny("ours", 1), _tiny("floor", 1), "p50_ms", at_most=1.15),
    _against_floor("tiny, binary, 16: over floor with JSON", _tiny("ours", 16, "binary"), 1.1),
    _against_floor("wide, JSON, 64: over floor", Cell("ours", "wide", "json", 64), 4.0),
    Goal("tiny, JSON, 16: over day one", _tiny("ours", 16), _tiny("day one", 16), "rate", at_least=5.0),
    Goal(
        "tiny, JSON, 16: log written over async",
        _tiny("ours, log written", 16),
        _tiny("ours", 16),
        "rate",
        at_least=0.85,
    ),
    Goal(
        "tiny, JSON, 16: CPU per request, 2 workers on 2 cores over 1",
        _tiny("ours, 2 workers", 16),
        _tiny("ours", 16),
        "cpu_us",
        at_most=1.1,
    ),
    Goal(
        "tiny, JSON, 16 a worker: CPU per request, 2 workers on 2 cores over 1",
        _tiny("ours, 2 workers", 32),
        _tiny("ours", 16),
        "cpu_us",
        at_most=1.1,
    ),
    Goal(
        "tiny's p99 at half load beside a slow model over alone",
        _tiny(f"ours {BESIDE}", 64),
        _tiny(f"ours {HALF}", 64),
        "p99_ms",
        at_most=2.0,
    ),
)
