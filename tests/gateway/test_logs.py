"""The log: one line per event, whatever the values are."""

import io
import json
import os
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.gateway.logs import LogFormat, Logger

HOSTILE = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(
            '\r\n\0\x0b\x0c\x1b\x1c\x1d\x1e\x7f\x85\x9b\u2028\u2029\u202e\u2066\ud800\udcff"\\{}='
        ),
    )
)


def line(log_format: LogFormat, event: str = "tried", **values: str | int | float | bool | None) -> str:
    stream = io.BytesIO()
    clock = lambda: datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)  # noqa: E731 - a clock is a callable
    Logger("worker-0", log_format, stream, clock).warning(event, **values)
    return stream.getvalue().decode()


def test_a_json_line_holds_the_fixed_fields_and_the_values() -> None:
    """A reader finds time in UTC, level, event and process first, then what was said."""
    assert line("json", model="fraud", rows=3, ok=True, why=None) == (
        '{"at":"2026-01-02T03:04:05.678Z","level":"warning","event":"tried","process":"worker-0",'
        '"model":"fraud","rows":3,"ok":true,"why":null}\n'
    )


def test_a_text_line_holds_the_same() -> None:
    """The text form is for people and says the same in the same order."""
    assert line("text", model="Zürich", rows=3) == (
        '2026-01-02T03:04:05.678Z WARNING worker-0 tried model="Zürich" rows=3\n'
    )


@given(HOSTILE)
def test_no_value_can_forge_a_line(text: str) -> None:
    """Line ends, terminal escapes and bidirectional controls never reach the stream unescaped."""
    for log_format in ("json", "text"):
        written = line(log_format, text, value=text)
        assert written.endswith("\n")
        assert len(written.splitlines()) == 1
        assert not any(character in written[:-1] for character in "\r\n\0\x1b\x7f\x85\x9b\u2028\u202e")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_value_is_still_itself_after_parsing(text: str) -> None:
    """Escaping loses nothing: a JSON reader gets the value back."""
    assert json.loads(line("json", value=text))["value"] == text


@pytest.mark.parametrize("name", ["at", "level", "process"])
def test_a_value_cannot_stand_in_for_a_fixed_field(name: str) -> None:
    """The fixed fields are the logger's own."""
    assert json.loads(line("json", **{name: "forged"}))[name] != "forged"


def test_every_level_is_named() -> None:
    """The method that was called is the level."""
    stream = io.BytesIO()
    logger = Logger("control", stream=stream)
    logger.info("a")
    logger.warning("b")
    logger.error("c")
    levels = [json.loads(text)["level"] for text in stream.getvalue().splitlines()]
    assert levels == ["info", "warning", "error"]


def test_a_log_that_nobody_reads_stops_nobody() -> None:
    """A closed pipe or a full disk behind standard error costs lines, not the process."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb", buffering=0) as broken:
        Logger("worker-0", stream=broken).info("lost")
    with open("/dev/full", "wb", buffering=0) as full:
        Logger("worker-0", stream=full).info("lost")


def test_lines_go_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    """Without a stream of its own a logger writes to standard error; what was said is there once closed."""
    logger = Logger("worker-0")
    logger.info("seen")
    logger.close()
    assert json.loads(capfd.readouterr().err)["event"] == "seen"
