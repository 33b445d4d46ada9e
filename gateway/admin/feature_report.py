"""What there is to say about feature views: declaration, snapshots, sizes, and who reads them."""

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from driftgate.features.embedded.snapshots import SnapshotInfo, ViewFiles, current_snapshot, snapshots
from driftgate.features.errors import SnapshotUnknown, StoreError
from driftgate.features.lookup.resolve import Resolved
from driftgate.features.views.keys import EntityKey
from driftgate.features.views.status import FeatureStatus
from driftgate.features.views.view import FeatureView
from driftgate.gateway.admin.feature_documents import Consumer, EntityAnswer, FeatureValue, ViewReport
from driftgate.gateway.control.facts import Facts
from driftgate.models.schema.manifest import Manifest


def view_report(
    view: FeatureView, root: Path, consumers: Iterable[Consumer], now_s: float, problem: str
) -> ViewReport:
    """Return what there is to say about a view; reads files of the embedded store at `root`."""
    files = ViewFiles(root, view.name)
    held: list[SnapshotInfo] = []
    current = 0
    try:
        held, current = snapshots(files), current_snapshot(files)
    except (StoreError, SnapshotUnknown) as error:
        problem = problem or str(error)
    info = next((info for info in held if info.number == current), None)
    return ViewReport(
        view=view,
        schema=f"{view.schema_id:016x}",
        digest=view.digest,
        snapshot=current,
        rows=info.rows if info else 0,
        age_s=now_s - datetime.fromisoformat(info.created_at).timestamp() if info else None,
        size_bytes=sum(map(_size_bytes, (files.snapshot(current), files.delta))),
        snapshots=tuple(held),
        consumers=tuple(consumers),
        problem=problem,
    )


def consumers_of(name: str, manifests: Iterable[Manifest]) -> list[Consumer]:
    """Return the versions that read a view, by model and number."""
    found = [
        Consumer(manifest.name, manifest.version, tuple(one.feature for one in bound.features))
        for manifest in manifests
        if manifest.features is not None
        for bound in manifest.features.views
        if bound.view == name
    ]
    return sorted(found, key=lambda consumer: (consumer.model, consumer.version))


def known_manifests(facts: Facts) -> Iterator[Manifest]:
    """Yield the manifest of every version that is published or was verified."""
    published = {
        (model.name, number): version.manifest
        for model in (facts.registry.models.values() if facts.registry else ())
        for number, version in model.versions.items()
    }
    verified = {tuple(key): version.manifest for key, version in facts.verified.items()}
    yield from (published | verified).values()


def parsed_key(view: FeatureView, text: str) -> EntityKey:
    """Return a key from a text: the one join key's value, or a JSON list with all of them in order.

    Texts become numbers where the view has numbers; what is no number stays a text.
    """
    try:
        texts = msgspec.json.decode(text, type=list[str]) if text.startswith("[") else [text]
    except msgspec.MsgspecError:
        texts = [text]
    dtypes = [key.dtype for key in view.join_keys]
    return tuple(
        _number(text) if index < len(dtypes) and dtypes[index] == "int64" else text
        for index, text in enumerate(texts)
    )


def entity_answer(key: EntityKey, resolved: Resolved, snapshot: int) -> EntityAnswer:
    """Return what a model would get of one entity."""
    view, time_us = resolved.layout.view, int(resolved.event_time_us[0])
    absent = np.zeros(len(view.features), bool) if resolved.absent is None else np.asarray(resolved.absent[0])
    columns = resolved.columns
    features = tuple(
        FeatureValue(
            feature.name,
            None if absent[index] else _plain(columns[feature.name]),
            FeatureStatus(int(resolved.status[0, index])).name,
            feature.unit,
        )
        for index, feature in enumerate(view.features)
    )
    event_time = datetime.fromtimestamp(time_us / 1e6, UTC).isoformat() if time_us else None
    age_s = float(resolved.age_s[0]) if time_us else None
    fault = resolved.faults.get(0)
    return EntityAnswer(view.name, key, snapshot, event_time, age_s, features, fault.value if fault else "")


def _plain(column: Any) -> Any:
    return column[:1].tolist()[0]


def _number(text: str) -> str | int:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) <= 19 else text


def _size_bytes(directory: Path) -> int:
    """Return what the files of a directory take on the disk."""
    try:
        with os.scandir(directory) as entries:
            return sum(entry.stat().st_blocks * 512 for entry in entries)
    except OSError:
        return 0
