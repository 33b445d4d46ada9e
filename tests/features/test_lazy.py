"""What the room offers by name is found on first use."""

import pytest

import driftgate
import driftgate.features as features
from driftgate.features.training.frame import FeatureSource, training_frame


def test_training_frame_is_found_where_people_look() -> None:
    """`driftgate.training_frame` and `driftgate.features.training_frame` are the same function."""
    assert driftgate.training_frame is features.training_frame is training_frame
    assert features.FeatureSource is FeatureSource


def test_other_names_are_not_there() -> None:
    """A misspelt name is an AttributeError that says so."""
    with pytest.raises(AttributeError, match="'trainingframe'"):
        features.trainingframe  # noqa: B018 - the look-up is what is tested
