"""A registry that Feast 0.67 wrote becomes view declarations, and what is none is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.features.feast.protobuf_fields import BrokenMessage, Message
from driftgate.features.feast.registry import InvalidFeastRegistry, read_feast_registry
from driftgate.features.views.view import Feature, FeatureView, JoinKey, check_view

REGISTRY = (Path(__file__).parents[2] / "fixtures" / "feast" / "registry.db").read_bytes()


def test_a_view_keeps_its_names_types_ttl_and_documentation() -> None:
    """Join keys, features, TTL, description and owner come over as Feast has them."""
    found = {view.name: (project, view) for project, view in read_feast_registry(REGISTRY).views}
    assert found["driver_hourly_stats"] == (
        "demo",
        FeatureView(
            name="driver_hourly_stats",
            join_keys=(JoinKey("driver_id", "int64"),),
            features=(
                Feature("conv_rate", "float32", description="share of trips accepted"),
                Feature("acc_rate", "float64"),
                Feature("avg_daily_trips", "int64"),
                Feature("city", "string"),
                Feature("active", "bool"),
            ),
            ttl_s=86_400.0,
            description="hourly statistics of a driver",
            owner="fleet@example.com",
        ),
    )


def test_several_join_keys_and_no_ttl() -> None:
    """A TTL of zero is none, and a time is a whole number of seconds."""
    views = {view.name: view for _, view in read_feast_registry(REGISTRY).views}
    assert views["orders"] == FeatureView(
        name="orders",
        join_keys=(JoinKey("driver_id", "int64"), JoinKey("customer", "string")),
        features=(Feature("n", "int32"), Feature("at", "int64", unit="s since 1970")),
    )


def test_what_has_no_counterpart_is_named_with_the_reason() -> None:
    """Lists of unknown length and views without an entity are left out, and nobody has to guess why."""
    assert [text.partition(": ")[0] for text in read_feast_registry(REGISTRY).left_out] == [
        "driver_hourly_stats.vec",
        "globals",
    ]


def test_every_imported_view_is_sound() -> None:
    """What is imported would be accepted as a declaration."""
    for _, view in read_feast_registry(REGISTRY).views:
        assert check_view(view) == view


def test_one_project() -> None:
    """Views of other projects are not taken."""
    assert read_feast_registry(REGISTRY, "demo").views == read_feast_registry(REGISTRY).views
    with pytest.raises(InvalidFeastRegistry, match="not in this project"):
        read_feast_registry(REGISTRY, "other")


@pytest.mark.parametrize("data", [b"", b"SQLite format 3\0", b"project: demo\n", REGISTRY[:-7]])
def test_another_file_is_refused(data: bytes) -> None:
    """A SQL registry, a YAML file, and one that was cut off are no registry."""
    with pytest.raises(InvalidFeastRegistry):
        read_feast_registry(data)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    """Reading a message raises nothing but BrokenMessage, whatever the bytes are."""
    try:
        message = Message(data)
        for number in range(16):
            message.texts(number)
            message.number(number)
            message.messages(number)
    except BrokenMessage:
        pass
