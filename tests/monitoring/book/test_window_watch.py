"""What is watched in sealed windows, and what alerts are told of it."""

from driftgate.monitoring.alerts.alert import Rule
from driftgate.monitoring.book.window_watch import WindowWatch
from driftgate.monitoring.quality.silence import Silence
from driftgate.monitoring.quality.silence_watch import SilenceWatch
from driftgate.monitoring.reference.book import ReferenceBook

WINDOW_US = 300_000_000
EIGHT_DAYS = 8 * 288


def test_silence_of_all_models_together_is_told() -> None:
    """Windows in which nothing at all was sealed are looked at too."""
    silence = Silence(WINDOW_US)
    for window in range(EIGHT_DAYS):
        silence.update(window * WINDOW_US, is_empty=False)
    watch = SilenceWatch(lambda model: None, WINDOW_US, {"silence/m/stable": silence.encode()})
    told = WindowWatch(ReferenceBook([], lambda model, version: None, print), {}, watch, lambda model: 1e4)
    for window in range(EIGHT_DAYS, EIGHT_DAYS + 24):
        told.update({}, window * WINDOW_US)
    (finding,) = told.findings()
    assert (finding.rule, finding.model, finding.arm) == (Rule.NO_DATA, "m", "stable")
