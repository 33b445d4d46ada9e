"""Settings and manifests become what the log needs, and a slot's log is opened with them."""

import stat
from pathlib import Path

import pytest

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.logs import Logger
from driftgate.gateway.serving.recording import (
    log_key,
    log_policy,
    open_log,
    recorded_version,
    unknown_columns,
    unrouted,
)
from driftgate.gateway.settings import LogSettings
from driftgate.models.errors import InvalidSettings
from driftgate.models.registry.settings import ModelLogSettings, parse_settings
from driftgate.models.schema.manifest import Column, FileEntry, Manifest, Provenance, Task, TaskOutput
from driftgate.models.schema.signature import Signature, TensorSpec
from driftgate.monitoring.log.record import TensorColumns

from harness.records import failure, numbers_in, reader

MANIFEST = Manifest(
    format=1,
    name="fraud",
    version=3,
    signature=Signature(
        (
            TensorSpec("x", "FP32", (-1, 2)),
            TensorSpec("city", "BYTES", (-1, 1)),
            TensorSpec("raw", "FP32", (-1, 2)),
        ),
        (TensorSpec("label", "INT64", (-1,)), TensorSpec("probabilities", "FP32", (-1, 2))),
    ),
    files=(FileEntry("model.onnx", 1, "0"),),
    columns=(
        Column("income", "x", "FP32", 1),
        Column("age", "x", "FP32", 0),
        Column("town", "city", "BYTES"),
        Column("half", "raw", "FP32", 1),
    ),
    provenance=Provenance("", ""),
    task=Task(
        "classification",
        (TaskOutput("label", "prediction"), TaskOutput("probabilities", "probabilities")),
        classes=("no", "yes"),
    ),
)


def test_columns_are_named_in_the_order_of_their_tensor() -> None:
    """Names come from the manifest, by index, for tensors whose elements all have one; outputs have roles."""
    of = recorded_version(MANIFEST, ModelLogSettings())
    assert of.inputs == (
        TensorColumns("x", ("age", "income")),
        TensorColumns("city", ("town",)),
        TensorColumns("raw"),
    )
    assert of.outputs == (
        TensorColumns("label", role="prediction"),
        TensorColumns("probabilities", ("no", "yes"), "probabilities"),
    )
    assert (of.model, of.version, of.has_texts) == ("fraud", 3, True)
    assert (unrouted("m").model, unrouted().version) == ("m", 0)


def test_a_models_settings_become_its_policy() -> None:
    """What model.toml says of the log is what the log does."""
    text = '[log]\nsample = 0.5\ndrop = ["age"]\nhash = ["town"]\nmax_text_bytes = 64\nmax_row_bytes = 128\n'
    policy = recorded_version(MANIFEST, parse_settings(text).log).policy
    assert (policy.sample, set(policy.drop), set(policy.hash)) == (0.5, {"age"}, {"town"})
    assert (policy.max_text_bytes, policy.max_row_bytes) == (64, 128)


def test_columns_to_hide_that_do_not_exist_are_named() -> None:
    """A misspelt column would be recorded in the open, so it can be found out."""
    settings = ModelLogSettings(drop=("age", "raw", "emial"), hash=("town", "label", "citty"))
    assert unknown_columns(MANIFEST, settings) == ("emial", "citty")


@pytest.mark.parametrize("line", ["sample = 1.5", "sample = -0.1", "max_text_bytes = 0", "samples = 1"])
def test_mistakes_in_a_models_settings_name_their_line(line: str) -> None:
    """A share is between 0 and 1, sizes are positive, unknown keys are errors."""
    with pytest.raises(InvalidSettings, match="line 2"):
        parse_settings(f"[log]\n{line}\n")


def test_process_settings_become_the_slots_policy() -> None:
    """Mode, what happens when full, and sizes are passed on."""
    settings = LogSettings(mode="fsync", when_full="refuse", quota_bytes=9, segment_bytes=8, buffer_rows=7)
    policy = log_policy(settings, b"secret")
    assert (policy.mode, policy.when_full, policy.key) == ("fsync", "refuse", b"secret")
    assert (policy.quota_bytes, policy.segment_bytes, policy.buffer_rows) == (9, 8, 7)


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    """All slots share one secret that only the owner can read."""
    path = tmp_path / "log.key"
    first = log_key(path)
    assert len(first) == 32
    assert log_key(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["log.key"]


def test_a_slots_log_is_opened_and_written(tmp_path: Path) -> None:
    """The log of a slot lies where the layout says, or nowhere when it is switched off."""
    layout = StateLayout(tmp_path)
    layout.slot(2).mkdir(parents=True)
    logger = Logger("test")
    assert open_log(layout, 2, "a" * 32, LogSettings(enabled=False), logger) is None
    log = open_log(layout, 2, "a" * 32, LogSettings(), logger)
    assert log is not None
    log.append(failure(unrouted("m"), 5))
    log.close()
    assert numbers_in(reader(tmp_path).read()) == [5]
