"""Publish to the registry of a gateway: built and checked on this machine, then sent."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from driftgate.models.publish.describe import Description
from driftgate.models.publish.onnx_file import GraphFiles, Published, Target, publish_graph
from driftgate.models.remote.client import Connection, LocalVersion, Server, send_version
from driftgate.models.remote.upload_types import NEXT_NUMBER
from driftgate.models.schema.manifest import encode_manifest


def publish_to_server(graph: GraphFiles, known: Description, target: Target, server: Server) -> Published:
    """Publish a graph under the name and number of `target` in the registry of `server`.

    The `directory` of what is returned is below that registry. Raises what publishing here raises, and
    ServerRefused or ServerUnreachable; what has arrived stays there for a while, so that publishing the same
    again goes on with it.
    """
    with TemporaryDirectory(prefix="driftgate-") as place, Connection(server) as connection:
        built = publish_graph(graph, Target(target.name, Path(place)), known)
        wanted = msgspec.structs.replace(built.manifest, version=target.version or NEXT_NUMBER)
        placed = send_version(LocalVersion(built.directory), encode_manifest(wanted), connection)
    return replace(
        built,
        version=placed.version,
        directory=Path(target.name, str(placed.version)),
        digest=placed.digest,
        created=placed.created,
        warnings=(*built.warnings, *([f"not READY yet: {placed.waits_for}"] if placed.waits_for else [])),
        manifest=msgspec.structs.replace(built.manifest, version=placed.version),
        server=server.url,
    )
