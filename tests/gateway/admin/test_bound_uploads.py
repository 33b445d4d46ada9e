"""Versions with features over the admin API: held against the declared views before they are sent."""

from pathlib import Path
from typing import Any

import pytest

from driftgate.features.views.view import Feature, FeatureView, JoinKey
from driftgate.models.publish.describe import Description
from driftgate.models.publish.onnx_file import GraphFiles, Published, Target, publish_graph
from driftgate.models.schema.manifest import Column
from driftgate.models.schema.stated_binding import stated_binding

from harness.control_room import ControlRoom, play
from harness.features import declare
from harness.models import linear_model
from harness.upload_parts import manifest_bytes
from harness.uploading import UPLOADS, begin, commit, files_of, left, put

pytestmark = pytest.mark.usefixtures("registry_root")

AGE = Feature("age", "float32", default=1.0, on_missing="default")
USERS = FeatureView("users", (JoinKey("user"),), (AGE,))
COLUMNS = tuple(Column(name, "x", "FP32", index=place) for place, name in enumerate("abcd"))


def bound(root: Path, view: str = "users", feature: str = "age") -> Published:
    """A version as a publisher has built it who knows of no view."""
    binding: dict[str, Any] = {"view": view, "keys": {"user": "user"}, "features": {feature: "b"}}
    known = Description(columns=COLUMNS, binding=stated_binding({"views": [binding]}))
    graph = GraphFiles(linear_model(1.0).SerializeToString())
    return publish_graph(graph, Target("m", root / "elsewhere"), known)


async def send(room: ControlRoom, built: Published) -> dict[str, Any]:
    """Upload a version and return what the gateway says of it."""
    upload = (await begin(room, manifest_bytes(built)))["upload"]
    for number, data in enumerate(files_of(built)):
        await put(room, upload, number, 0, data)
    return dict((await commit(room, upload)).json())


def test_what_contradicts_a_view_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    """A feature that the declared view lacks is a 400 that names view and feature; nothing is left behind."""
    declare(tmp_path / "registry", USERS)
    built = bound(tmp_path, feature="rage")

    async def scene(room: ControlRoom) -> None:
        before = left(room)
        answer = await room.client.post(UPLOADS, content=manifest_bytes(built))
        assert answer.status_code == 400
        assert "view 'users' has no feature 'rage'; it has: age" in answer.json()["error"]
        assert left(room) == before

    play(tmp_path, scene, workers=1)


def test_what_a_version_waits_for_is_told_when_it_is_placed(tmp_path: Path) -> None:
    """A view that is not declared yet is no contradiction: the version is taken, and told what it lacks."""
    built = bound(tmp_path)

    async def scene(room: ControlRoom) -> None:
        placed = await send(room, built)
        assert placed["waits_for"] == "the feature view 'users' is not declared"
        declare(room.root / "registry", USERS)
        again = (await begin(room, manifest_bytes(built)))["published"]
        assert (again["created"], "no rows" in again["waits_for"]) == (False, True), again

    play(tmp_path, scene, workers=1)
