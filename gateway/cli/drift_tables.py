"""What `driftgate drift` prints, for people."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from driftgate.gateway.admin.drift_documents import BacktestAnswer, DriftAnswer, DriftVersion
from driftgate.gateway.cli.model_tables import print_plain
from driftgate.monitoring.drift.alarm import Phase
from driftgate.monitoring.drift.seasons import WEEKS_TO_PROPOSE, Watch
from driftgate.monitoring.drift.status import AlarmFigure, DriftStatus, StreamFigure, VersionFigure

DAY_US = 86_400_000_000
_PROPOSE_US = WEEKS_TO_PROPOSE * 7 * DAY_US
_NOT_ARMED = "nobody is notified"


def print_drift(answer: DriftAnswer) -> None:
    """Print one model: a paragraph for each version."""
    if not answer.versions:
        print_plain(f"{answer.model}: not enough data: no window is complete yet")
    for one in answer.versions:
        for line in _version(one, answer.window_us):
            print_plain(line)


def print_all(status: DriftStatus) -> None:
    """Print a line for each version of all models."""
    if not status.versions:
        print_plain("not enough data: no window is complete yet")
    for one in status.versions:
        print_plain(f"{one.model}@{one.version}: {said_of(one)}")


def print_backtest(answer: BacktestAnswer) -> None:
    """Print what would have notified, and what the budget allows."""
    days = (answer.end_us - answer.first_us) / DAY_US
    print_plain(
        f"{answer.model}: {answer.windows} windows of {days:.1f} days, judged by {answer.judged_by}; "
        f"the budget allows {answer.expected_at_most:.2g} notifications for nothing in that time"
    )
    for one in answer.notifications:
        named = ", ".join(one.features)
        print_plain(f"{moment(one.window_us)}  version {one.version}: {named}, since {moment(one.onset_us)}")
    if not answer.notifications:
        print_plain("nothing would have been notified")
    print_plain(
        "gone through: drift of features. Not gone through: dependence of pairs, segments; bad data and "
        f"silence, which notify without being armed: driftgate alerts list {answer.model} --since 30d"
    )


def said_of(one: VersionFigure) -> str:
    """Return in a line whether a version drifts, and whether somebody is told."""
    told = "armed" if one.watch is Watch.ARMED else f"{one.watch}: {_NOT_ARMED}"
    return f"{_drift(one)} ({told})"


def moment(time_us: int) -> str:
    """Return a time for people, in UTC; today's without its day."""
    at, now = datetime.fromtimestamp(time_us / 1e6, UTC), datetime.now(UTC)
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M}"


def _drift(one: VersionFigure) -> str:
    alarms = [
        text
        for text in (_alarm(one.drift, one.log10_evidence), _alarm(one.dependence, one.log10_pair_evidence))
        if text
    ]
    if alarms:
        return "; ".join(alarms)
    if one.reason:
        return f"not enough data: {one.reason}"
    target = power_of_ten(one.log10_target)
    return f"no drift found (E = {power_of_ten(one.log10_evidence)}, notifies at {target})"


def _alarm(alarm: AlarmFigure, log10_evidence: float | None) -> str:
    if alarm.phase is Phase.QUIET:
        return ""
    word = "drifting" if alarm.phase is Phase.DRIFTING else "was drifting, and nobody acknowledged it,"
    since = moment(alarm.onset_us or alarm.since_us)
    return f"{word} since {since}: {', '.join(alarm.names)} (E = {power_of_ten(log10_evidence)})"


def _version(one: DriftVersion, window_us: int) -> Iterator[str]:
    figure = one.figure
    yield f"{figure.model} version {figure.version}: {said_of(figure)}"
    if figure.watch is not Watch.ARMED and figure.reference_rows:
        yield f"  {_observed(figure)}"
    yield (
        f"  reference: {figure.reference_rows} rows of {figure.source}"
        if figure.reference_rows
        else "  no reference"
    )
    if not figure.reason:
        yield f"  {_pace(one, window_us)}"
    for stream in figure.streams:
        yield from _stream(stream)


def _observed(figure: VersionFigure) -> str:
    last_us = max((one.start_us for one in figure.streams), default=figure.first_us)
    seen = (last_us - figure.first_us) / DAY_US
    if figure.watch is Watch.PROPOSED:
        subject = f"{figure.model}@{figure.version}"
        return f"seen for {seen:.0f} days: look at `drift backtest`, then `drift arm {subject}`"
    more = max(0.0, _PROPOSE_US / DAY_US - seen)
    return f"seen for {seen:.1f} days; its hours of the week can be learnt in {more:.1f} days"


def _pace(one: DriftVersion, window_us: int) -> str:
    if one.rows_to_find is None:
        return "a shift of half a standard deviation would not be found: the reference has too few rows"
    per_s = one.rows_per_window * 1e6 / window_us
    time = f", {_span(one.rows_to_find / per_s)} at {per_s:.3g} rows a second" if per_s else ""
    return (
        f"a shift of half a standard deviation of a number is found after about {one.rows_to_find} rows{time}"
    )


def _span(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _stream(stream: StreamFigure) -> Iterator[str]:
    name = f"{stream.arm}, {stream.segment}" if stream.segment else stream.arm
    named = [
        f"{one.name}: {'more' if one.rises else 'fewer'} rows {one.cell} since {moment(one.onset_us)} "
        f"(E = {power_of_ten(one.log10_evidence)})"
        for one in stream.features
        if one.is_named
    ]
    pairs = [
        f"{one.first} and {one.second} go together {'more' if one.together_more else 'less'} often since "
        f"{moment(one.onset_us)} (E = {power_of_ten(one.log10_evidence)})"
        for one in stream.pairs
    ]
    if not stream.segment or named or pairs:
        yield f"  arm {name}: {stream.windows} windows, {stream.rows} rows in the last"
    yield from _indented((*named, *pairs))


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"    {line}" for line in lines)


def power_of_ten(log10: float | None) -> str:
    """Return evidence for people, given its logarithm."""
    if log10 is None:
        return "unknown"
    return "0" if log10 < -2 else f"{10**log10:.3g}" if log10 < 4 else f"10^{log10:.0f}"
