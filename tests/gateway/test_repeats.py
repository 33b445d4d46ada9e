"""What fails again and again is said when it is new, and once a minute."""

from driftgate.gateway.repeats import MOST, REPEAT_S, Repeats


def test_a_failure_is_said_when_it_is_new_and_once_a_minute() -> None:
    """The same text is news again after a minute; another one is news at once, and no news for the first."""
    repeats = Repeats()
    looks = [("a", 0.0), ("a", 0.2), ("b", 0.4), ("a", 0.6), ("b", 0.8), ("a", REPEAT_S), ("b", REPEAT_S)]
    assert [repeats.is_news(text, now) for text, now in looks] == [True, False, True] + [False] * 2 + [
        True,
        False,
    ]


def test_texts_without_end_take_no_memory_without_end() -> None:
    """A failure that reads differently each time is said each time, and forgotten."""
    repeats = Repeats()
    assert all(repeats.is_news(f"failure {number}", 0.0) for number in range(MOST + 1))
    assert repeats.is_news("failure 0", 0.0)
    assert not repeats.is_news(f"failure {MOST}", 0.0)
