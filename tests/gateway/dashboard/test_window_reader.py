"""What the pages are told of windows: from a book as a monitor leaves it."""

import time
from pathlib import Path

import numpy as np
import pytest

from driftgate.gateway.dashboard.window_reader import FeatureQuestion, WindowReader
from driftgate.gateway.errors import NotFound, StateUnusable
from driftgate.gateway.layout import StateLayout
from driftgate.monitoring.log.columns import texts_of_list
from driftgate.monitoring.reference.profile import encode_profile
from driftgate.monitoring.reference.sample import ReferenceSample, row_priorities
from driftgate.monitoring.windows.observed import Observed
from driftgate.monitoring.windows.pane import PANE_US

from harness.past_windows import ROWS, write_past

MINUTES = 30
HOUR_US = 60 * PANE_US


@pytest.fixture(scope="module", name="reader")
def reader_fixture(tmp_path_factory: pytest.TempPathFactory) -> WindowReader:
    """A reader of half an hour of windows, in the second half of which `age` drifts."""
    root = tmp_path_factory.mktemp("book")
    layout = StateLayout(root)
    write_past(layout.monitor_db, "m", profile(), MINUTES, drifts="age")
    return WindowReader(layout)


def profile() -> bytes:
    """A reference of ages and cities."""
    rows = 5000
    columns = [
        Observed("age", "input", np.random.default_rng(2).normal(40, 10, rows).astype(np.float32)),
        Observed("city", "input", texts_of_list([f"city {number % 5}" for number in range(rows)])),
    ]
    sample = ReferenceSample()
    sample.update(columns, row_priorities(0, rows))
    return encode_profile(sample.get("training"))


def ask(name: str, **more: object) -> FeatureQuestion:
    """A question about the last ten minutes of a feature."""
    known = {"version": 1, "arm": "stable", "minutes": 10, "first_us": since()} | more
    return FeatureQuestion("m", name, **known)  # type: ignore[arg-type]  # a table of fields


def since() -> int:
    """An hour ago."""
    return time.time_ns() // 1000 - HOUR_US


def test_history_adds_up(reader: WindowReader) -> None:
    """The rows of all steps are those of all windows."""
    found = reader.history("m", since())
    (arm,) = found.arms
    assert (arm.version, arm.arm, found.step_us) == (1, "stable", PANE_US)
    assert sum(arm.rows) == MINUTES * ROWS
    assert len(arm.start_us) == len(arm.p99_ms) == MINUTES


def test_long_times_have_few_steps(reader: WindowReader) -> None:
    """Thirty days have as many steps as a page can draw, and the same rows."""
    found = reader.history("m", since() - 30 * 24 * HOUR_US)
    assert (found.end_us - found.first_us) / found.step_us <= 301
    assert sum(found.arms[0].rows) == MINUTES * ROWS


def test_what_is_shown_begins_with_the_first_window(reader: WindowReader) -> None:
    """A week of which there is half an hour is half an hour in fine steps."""
    week_ago = since() - 7 * 24 * HOUR_US
    for found in (reader.history("m", week_ago), reader.evidence("m", week_ago)):
        assert found.step_us == PANE_US
        assert found.end_us - found.first_us <= (MINUTES + 2) * PANE_US
    assert reader.feature(ask("age", first_us=week_ago)).windows.trend.step_us == PANE_US


def test_a_window_leaves_room_for_the_one_before(reader: WindowReader) -> None:
    """Where no length is asked for, half an hour of rows is compared a quarter of an hour at a time."""
    found = reader.feature(ask("age", minutes=None)).windows
    assert found.window.end_us - found.window.first_us == 15 * PANE_US
    assert found.before.rows > 0


def test_evidence_names_what_drifts(reader: WindowReader) -> None:
    """The feature that drifts has the most evidence, and only in the second half."""
    (arm,) = reader.evidence("m", since()).arms
    values = {feature.name: feature.values for feature in arm.features}
    assert max(value or 0 for value in values["age"]) > 6
    assert max(value or 0 for value in values["city"]) < 4
    assert max(value or 0 for value in values["age"][: MINUTES // 2]) < 4


def test_a_feature_is_compared_with_its_reference_and_the_window_before(reader: WindowReader) -> None:
    """Cells of ten minutes, the ten before them and the reference; those that drift lie higher."""
    found = reader.feature(ask("age")).windows
    assert found.window.rows == pytest.approx(10 * ROWS, abs=ROWS)
    assert found.before.rows == 10 * ROWS
    assert found.reference.rows == 5000
    assert sum(cell.window for cell in found.cells) == found.window.rows
    lower = found.cells[: len(found.cells) // 2]
    assert sum(cell.window for cell in lower) == 0 < sum(cell.reference for cell in lower)
    assert found.trend.new is None
    assert set(found.trend.null) == {0.0}


def test_categories_have_no_range(reader: WindowReader) -> None:
    """A category may be new, and never out of range or infinite."""
    found = reader.feature(ask("city", version=None, arm=None)).windows
    assert found.trend.out_of_range is None
    assert found.trend.new is not None
    assert found.cells[1].name == "= city 0"


@pytest.mark.parametrize("question", [ask("nothing"), ask("age", version=7), ask("age", arm="canary")])
def test_what_is_not_known_is_not_found(reader: WindowReader, question: FeatureQuestion) -> None:
    """A feature, version or arm without windows is an answer for people, not an error of ours."""
    with pytest.raises(NotFound):
        reader.feature(question)


def test_power_says_what_can_be_seen(reader: WindowReader) -> None:
    """Each feature has the smallest change that so many rows show, and after how many rows."""
    (version,) = reader.power("m").versions
    assert (version.source, version.reference_rows) == ("training", 5000)
    age = next(one for one in version.features if one.name == "age")
    assert "standard deviations" in age.smallest
    assert age.rows is not None


def test_before_there_is_a_book_there_is_nothing(tmp_path: Path) -> None:
    """Without `monitor.db` answers are empty."""
    reader = WindowReader(StateLayout(tmp_path))
    assert reader.history("m", since()).arms == ()
    assert reader.evidence("m", since()).arms == ()
    assert reader.quality("m").arms == ()
    assert reader.power("m").versions == ()
    with pytest.raises(NotFound):
        reader.feature(ask("age"))


def test_a_damaged_book_is_said_to_be(tmp_path: Path) -> None:
    """What cannot be read is told as such, without a path."""
    layout = StateLayout(tmp_path)
    layout.monitor_db.write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    with pytest.raises(StateUnusable, match=r"monitor\.db cannot be read"):
        WindowReader(layout).history("m", since())
