"""Alerts fire once, stay while evidence lasts, and are quiet only for those who said why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from driftgate.monitoring.alerts.alert import (
    TRANSITIONS,
    Alert,
    Event,
    Finding,
    IllegalTransition,
    NamedFeature,
    Notified,
    Rule,
    Severity,
    State,
    moved,
    new_alert,
)
from driftgate.monitoring.alerts.book import RESOLVE_AFTER_US, AlertBook, Silence, Step

MINUTE_US = 60_000_000
FEATURES = (NamedFeature("age", "null", 4.0),)


def finding(rule: Rule = Rule.DRIFT, version: int = 1, **changes: object) -> Finding:
    """Return a finding about model `m`."""
    one = Finding(rule=rule, model="m", version=version, features=FEATURES, window_us=0, text="it moved")
    return replace(one, **changes)


def silence(until_us: int = 10 * MINUTE_US, rule: Rule | None = None, version: int = 0) -> Silence:
    """Return a silence for model `m`."""
    return Silence(
        id="s", model="m", rule=rule, version=version, who="ada", why="known", since_us=0, until_us=until_us
    )


def said(step: Step) -> list[State]:
    """Return what receivers are told by a step."""
    return [notification.said for notification in step.notifications]


@pytest.mark.parametrize("rule", Rule)
def test_only_harm_and_data_are_a_page(rule: Rule) -> None:
    """Drift alone is a ticket; harm, broken data and missing data are a page."""
    paged = rule in (Rule.HARM, Rule.BROKEN_DATA, Rule.NO_DATA)
    assert finding(rule).severity is (Severity.PAGE if paged else Severity.TICKET)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_transitions_are_the_table(state: State, event: Event) -> None:
    """An event leads where the table says; any other raises."""
    alert = replace(new_alert(finding(), 0), state=state)
    if (state, event) in TRANSITIONS:
        assert moved(alert, event, 5).state is TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalTransition, match=state):
            moved(alert, event, 5)


def test_one_notification_while_it_lasts() -> None:
    """A finding that is found again and again, with gaps, is told once, and once more when it is gone."""
    book, heard = AlertBook(), list[State]()
    for minute, found in enumerate([1, 1, 0, 1, 0, 0, 1, *[0] * 20]):
        step = book.step([finding(window_us=minute)] * found, minute * MINUTE_US)
        book, heard = step.book, heard + said(step)
    assert heard == [State.FIRING, State.RESOLVED]
    assert book.alerts == ()


def test_nothing_changes_without_news() -> None:
    """The same findings at another moment change no alert, so nothing has to be written."""
    book = AlertBook().step([finding()], 0).book
    assert book.step([finding()], 7).changed == ()


def test_subjects_are_apart() -> None:
    """Versions and rules have alerts of their own; two findings about one subject are one."""
    found = [finding(), finding(), finding(version=2), finding(Rule.BROKEN_DATA)]
    step = AlertBook().step(found, 0)
    assert len(step.book.alerts) == len({alert.id for alert in step.book.alerts}) == 3


def test_an_acknowledged_page_fires_again_when_it_gets_worse() -> None:
    """Another broken feature is news, though somebody looks at the first; the same one is not."""
    step = AlertBook().step([finding(Rule.BROKEN_DATA)], 0)
    book = step.book.acknowledge(step.changed[0].id, "ada", "upstream", 1)
    assert said(book.step([finding(Rule.BROKEN_DATA)], 2)) == []
    more = (*FEATURES, NamedFeature("income", "type_error", 9.0))
    assert said(book.step([finding(Rule.BROKEN_DATA, features=more)], 3)) == [State.FIRING]


def test_an_acknowledged_drift_stays_quiet() -> None:
    """More features of a drift that somebody looks at notify nobody."""
    step = AlertBook().step([finding()], 0)
    book = step.book.acknowledge(step.changed[0].id, "ada", "season", 1)
    more = (*FEATURES, NamedFeature("income", "rises", 9.0))
    assert said(book.step([finding(features=more)], 3)) == []


@pytest.mark.parametrize(
    ("quiet", "hushed"),
    [
        (silence(), True),
        (silence(rule=Rule.DRIFT, version=1), True),
        (silence(rule=Rule.HARM), False),
        (silence(version=2), False),
    ],
)
def test_a_silence_hushes_what_it_covers(quiet: Silence, hushed: bool) -> None:
    """Who is silenced is recorded and not told."""
    step = AlertBook().silence(quiet).step([finding()], 0)
    assert len(step.changed) == 1
    assert said(step) == ([] if hushed else [State.FIRING])


@pytest.mark.parametrize("early", [True, False])
def test_what_lasts_longer_than_its_silence_fires(early: bool) -> None:
    """When a silence expires or is lifted, what it covered is told."""
    book = AlertBook().silence(silence()).step([finding()], 0).book
    later = book.unsilence("s") if early else book
    assert said(later.step([finding()], MINUTE_US if early else 10 * MINUTE_US)) == [State.FIRING]


def test_the_end_of_a_silenced_alert_is_told_to_those_who_heard_of_it() -> None:
    """Receivers that were told before the silence hear that it is over; others hear nothing."""
    first = AlertBook().step([finding()], 0).book
    told = first.told({first.alerts[0].id: [Notified(1, "oncall", State.FIRING)]})
    for book, heard in ((told, [State.RESOLVED]), (first, [])):
        hushed = book.silence(silence(10**15)).step([finding()], 2).book
        missing = hushed.step([], 3).book
        assert said(missing.step([], 3 + RESOLVE_AFTER_US)) == heard


def test_untold_is_what_a_receiver_has_not_heard_of() -> None:
    """After a restart what fires is told to those whose delivery is not noted; what fires anew, to all."""
    book = AlertBook().step([finding()], 5).book
    told = book.told({book.alerts[0].id: [Notified(6, "oncall", State.FIRING)]})
    (untold,) = told.untold()
    assert [untold.was_heard_by(name) for name in ("oncall", "risk")] == [True, False]
    silenced = told.silence(silence()).step([finding()], 7).book
    assert silenced.untold() == ()
    (again,) = silenced.unsilence("s").step([finding()], 8).notifications
    assert not again.was_heard_by("oncall")


@pytest.mark.parametrize("text", ["a\r\nb", "\x1b[31mred", "a\u2028b", "a\u202eb", "\x00", "\ud800"])
def test_text_cannot_steer_a_reader(text: str) -> None:
    """What clients may have sent is one visible line in every text of a finding."""
    one = finding(text=text, features=(NamedFeature(text, text, 1.0),), segment=text)
    shown = one.text + one.segment + one.features[0].feature + one.features[0].what
    assert shown.isprintable()


def test_texts_are_short() -> None:
    """A text of any length is cut."""
    assert len(finding(text="x" * 10**6).text) == 1000


@given(st.lists(st.tuples(st.sets(st.integers(1, 3)), st.integers(0, 20)), max_size=40))
def test_receivers_hear_of_each_episode_once(history: list[tuple[set[int], int]]) -> None:
    """Whatever comes and goes: firing is told once per alert, resolved after that, and never out of order."""
    book, now_us, heard = AlertBook(), 0, dict[str, list[State]]()
    for versions, minutes in history:
        now_us += minutes * MINUTE_US
        step = book.step([finding(version=version) for version in versions], now_us)
        for notification in step.notifications:
            heard.setdefault(notification.alert.id, []).append(notification.said)
        book = step.book
    for states in heard.values():
        assert states in ([State.FIRING], [State.FIRING, State.RESOLVED])
    assert {alert.id for alert in book.alerts} == {it for it, states in heard.items() if len(states) == 1}
    assert all(isinstance(alert, Alert) and alert.is_open for alert in book.alerts)
