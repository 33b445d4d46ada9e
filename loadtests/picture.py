"""A run as a picture: latency by percentile and over time, as SVG."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from loadtests.open_loop import Run
from loadtests.tally import Second, Tally

WIDTH, HEIGHT = 900, 340
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 40, 36
NINES = (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
STEPS_PER_NINE = 20
COLOURS = {"p50": "#2a6fb0", "p99": "#d07a1e", "failed": "#c0392b"}

Scale = Callable[[float], float]


@dataclass(frozen=True)
class Panel:
    """One diagram: its top edge on the page, and the scales from values to pixels."""

    top: int
    across: Scale
    up: Scale


def draw(name: str, run: Run) -> str:
    """Return an SVG document of a run."""
    seconds = run.tally.seconds()
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {2 * HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{2 * HEIGHT}" fill="white"/>',
        *_by_percentile(escape(name), run.tally),
        *_over_time(seconds),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _by_percentile(name: str, tally: Tally) -> list[str]:
    points = _percentiles(tally)
    panel = _panel(0, (0.0, len(NINES) - 1.0), [value for _, value in points])
    parts = [_text(LEFT, 22, f"{name}: latency by percentile, ms", "start")]
    parts += _grid(panel, [value for _, value in points])
    for place, share in enumerate(NINES):
        parts.append(_text(panel.across(place), HEIGHT - 14, f"{share * 100:g} %"))
    parts.append(_line(panel, points, COLOURS["p50"]))
    return parts


def _over_time(seconds: Sequence[Second]) -> list[str]:
    answered = [second for second in seconds if second.answered]
    values = [value for second in answered for value in (second.p50_ms, second.p99_ms)]
    last = max((second.at_s for second in seconds), default=1)
    panel = _panel(HEIGHT, (0.0, float(max(last, 1))), values)
    parts = [
        _text(LEFT, HEIGHT + 22, "latency over time (by the second it was due), ms", "start"),
        *_grid(panel, values),
        _line(panel, [(second.at_s, second.p50_ms) for second in answered], COLOURS["p50"]),
        _line(panel, [(second.at_s, second.p99_ms) for second in answered], COLOURS["p99"]),
        *_failures(panel, seconds),
    ]
    for place, (label, colour) in enumerate(COLOURS.items()):
        parts.append(_text(WIDTH - 180 + 60 * place, HEIGHT + 22, label, "start", colour))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(
            _text(panel.across(share * max(last, 1)), 2 * HEIGHT - 14, f"{share * max(last, 1):g} s")
        )
    return parts


def _percentiles(tally: Tally) -> list[tuple[float, float]]:
    """Return (place, ms) with a place for each further nine: 0 is the median, 1 is 90 %, 2 is 99 %."""
    if not tally.answered:
        return []
    histogram = tally.histogram()
    places = [step / STEPS_PER_NINE for step in range((len(NINES) - 1) * STEPS_PER_NINE + 1)]
    seen = [(place, share) for place in places if (share := _share(place)) <= 1 - 1 / (2 * tally.answered)]
    return [(place, histogram.get_value_at_percentile(100 * share) / 1000) for place, share in seen]


def _share(place: float) -> float:
    if place < 1:
        return 1 - 0.5 * math.pow(0.2, place)
    return 1 - math.pow(10, -place)


def _panel(top: int, across: tuple[float, float], values: Sequence[float]) -> Panel:
    low, high = _decades(values)
    inner_width, inner_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(value: float) -> float:
        return LEFT + inner_width * (value - across[0]) / (across[1] - across[0])

    def y(value: float) -> float:
        share = (math.log10(max(value, 10**low)) - low) / (high - low)
        return top + TOP + inner_height * (1 - share)

    return Panel(top, x, y)


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """Return the powers of ten that enclose the values (milliseconds); at least one decade."""
    positive = [value for value in values if value > 0] or [1.0]
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    return low, max(high, low + 1)


def _grid(panel: Panel, values: Sequence[float]) -> list[str]:
    low, high = _decades(values)
    parts = []
    for power in range(low, high + 1):
        at = panel.up(10.0**power)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(_text(LEFT - 8, at + 4, f"{10.0**power:g}", "end"))
    return parts


def _failures(panel: Panel, seconds: Sequence[Second]) -> list[str]:
    bottom = panel.top + HEIGHT - BOTTOM
    return [
        f'<rect x="{panel.across(second.at_s) - 2:.1f}" y="{bottom - 8}" width="4" height="8" '
        f'fill="{COLOURS["failed"]}"><title>{second.failed} failed in second {second.at_s}</title></rect>'
        for second in seconds
        if second.failed
    ]


def _line(panel: Panel, points: Sequence[tuple[float, float]], colour: str) -> str:
    places = " ".join(f"{panel.across(x):.1f},{panel.up(y):.1f}" for x, y in points)
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle", colour: str = "#333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{text}</text>'
