"""The document of the data plane costs its making once, whoever asks."""

import asyncio
import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from driftgate.gateway.serving.plane_document import PlaneDocument
from driftgate.gateway.serving.served import ServedVersion
from driftgate.gateway.state.counters import CounterFile
from driftgate.gateway.wire.openapi import DescribedModel
from driftgate.models.run.loaded import LoadedVersion, Trial
from driftgate.models.run.runtime import Session

from harness.protocol import manifest_of


class Describer:
    """Notes which versions are described, and in which thread; can be made to fail."""

    def __init__(self) -> None:
        self.described: list[str] = []
        self.threads: set[int] = set()
        self.fails = False

    def __call__(self, served: ServedVersion) -> DescribedModel:
        """Describe one version."""
        self.described.append(served.loaded.digest)
        self.threads.add(threading.get_ident())
        if self.fails:
            raise OSError("gone")
        return DescribedModel(served.loaded.manifest)


def served(path: Path, digest: str, name: str = "m") -> ServedVersion:
    """A version with this digest."""
    manifest = msgspec.structs.replace(manifest_of(), name=name)
    session = cast(Session, SimpleNamespace(signature=manifest.signature))
    trial = Trial(manifest, digest, session, {1: 1e-6}, 0.0)
    return ServedVersion(LoadedVersion(trial), CounterFile(path / "counters").of(name, "2"))


def test_the_document_is_made_once_for_the_same_versions(tmp_path: Path) -> None:
    """Askers share one making, off the event loop; another version or model makes a new one."""
    describe = Describer()
    one, other, new = served(tmp_path, "a"), served(tmp_path, "b", "n"), served(tmp_path, "c")

    async def scene() -> None:
        document = PlaneDocument(describe)
        asked = [document.of([one, other]) for _ in range(5)]
        first = set(await asyncio.gather(*asked))
        assert len(first) == 1
        assert await document.of([one, other]) in first
        assert describe.described == ["a", "b"]
        assert threading.get_ident() not in describe.threads
        paths = json.loads(await document.of([new]))["paths"]
        assert describe.described == ["a", "b", "c"]
        assert "/v2/models/m/infer" in paths
        assert "/v2/models/n/infer" not in paths

    asyncio.run(scene())


def test_a_document_that_could_not_be_made_is_tried_again(tmp_path: Path) -> None:
    """A failure is told to who asked then, and not kept."""
    describe, one = Describer(), served(tmp_path, "a")

    async def scene() -> None:
        document = PlaneDocument(describe)
        describe.fails = True
        with pytest.raises(OSError, match="gone"):
            await document.of([one])
        describe.fails = False
        assert b"/v2/models/m/infer" in await document.of([one])

    asyncio.run(scene())


def test_who_stops_waiting_stops_it_for_nobody(tmp_path: Path) -> None:
    """A client that leaves does not cancel what another one waits for."""
    one = served(tmp_path, "a")

    async def scene() -> None:
        document = PlaneDocument(Describer())
        leaving, staying = (asyncio.create_task(document.of([one])) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        assert b"openapi" in await staying

    asyncio.run(scene())
