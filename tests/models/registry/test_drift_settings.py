"""`[drift]` in model.toml: what is accepted, and that a mistake is named with its line."""

import pytest

from driftgate.models.errors import InvalidSettings
from driftgate.models.registry.settings import ModelDriftSettings, parse_settings


def test_all_settings_of_drift_are_read() -> None:
    """Each key is taken over; the offset is known in seconds."""
    text = '[drift]\nmode = "armed"\ntolerance = 0.005\nthin = "entity"\nutc_offset = "-03:30"\n'
    found = parse_settings(text).drift
    assert found == ModelDriftSettings("armed", 0.005, "entity", "-03:30")
    assert found.utc_offset_s == -12_600


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('mode = "sometimes"', "line 4.*Invalid enum value 'sometimes'"),
        ("tolerance = 0.6", "line 4.*<= 0.5"),
        ('thin = "rows"', "line 4.*Invalid enum value 'rows'"),
        ('utc_offset = "CET"', "line 4.*utc_offset: 'CET' is none; write one like"),
        ('budget = "1 in 4w"', "line 4.*unknown field `budget`"),
    ],
)
def test_a_mistake_is_named_with_its_line(line: str, said: str) -> None:
    """What is wrong, and in which line of the file."""
    with pytest.raises(InvalidSettings, match=said):
        parse_settings(f'owner = "risk"\n\n[drift]\n{line}\n')
