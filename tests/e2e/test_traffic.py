"""Splits on real workers: sticky, the same everywhere, monotone, explained, and undone by one command."""

import re
import struct
from collections.abc import Callable
from uuid import UUID

import httpx
import numpy as np
import pytest

from driftgate.models.publish.onnx_file import Published
from driftgate.monitoring.log.records import record_columns

from harness.gateway import Gateway, until
from harness.records import blocks_of, reader

Start = Callable[..., Gateway]
Publish = Callable[..., Published]

ANY = {"if-match": "*"}
URL = "/v2/models/m/predict"
SERVED_BY = re.compile(r"version=(\d+), arm=(\w+), generation=(\d+), why=(\w+)(?:, bucket=(\d+))?")


@pytest.fixture
def gateway(start_gateway: Start, publish_version: Publish) -> Gateway:
    """Two workers, version 1 with all traffic and version 2 beside it."""
    publish_version("m", version=1, scale=1.0)
    gateway = start_gateway(workers=2, environment={"DRIFTGATE__TIMING__REGISTRY_POLL_S": "0.1"})
    publish_version("m", version=2, scale=2.0)
    gateway.wait_version("m", 2)
    return gateway


def split(gateway: Gateway, first: float, second: float, **more: object) -> httpx.Response:
    """Give the versions 1 and 2 their shares in percent."""
    url = f"{gateway.ports.admin}/api/models/m/traffic"
    body = {"arms": {"1": first, "2": second}, **more}
    answer = gateway.client.put(url, json=body, headers=ANY)
    assert answer.status_code == 200, answer.text
    assert answer.json()["in_force"]
    return answer


def served(answer: httpx.Response) -> tuple[int, str]:
    """The version and arm that an answer names."""
    assert answer.status_code == 200, answer.text
    found = SERVED_BY.fullmatch(answer.headers["x-served-by"])
    assert found, answer.headers
    return int(found[1]), found[2]


def ask(
    gateway: Gateway, headers: dict[str, str] | None = None, path: str = URL, first: float = 1.0
) -> httpx.Response:
    """Ask with one row, over a connection of its own: any worker may answer."""
    row = {"f0": first, "f1": 0.0, "f2": 0.0, "f3": 0.0}
    return httpx.post(gateway.ports.data + path, json={"rows": [row]}, headers=headers)


def test_a_ramp_only_adds_keys_to_the_canary(gateway: Gateway) -> None:
    """Every key gets the version that the admin API names for it, and keeps the canary as that grows."""
    keys = [f"customer-{n}" for n in range(60)]
    before: set[str] = set()
    for percent in (5, 25, 50, 100):
        split(gateway, 100 - percent, percent)
        now = {key for key in keys if served(ask(gateway, {"x-routing-key": key}))[0] == 2}
        assert before <= now
        before = now
        for key in keys[:10]:
            url = f"{gateway.ports.admin}/api/models/m/assignment"
            explained = gateway.client.get(url, params={"key": key}).json()
            assert explained["version"] == (2 if key in now else 1)
            said = ask(gateway, {"x-routing-key": key}).headers["x-served-by"]
            alone = percent == 100
            assert said.endswith("why=hash" if alone else f"why=hash, bucket={explained['bucket']}")
    assert before == set(keys)


def test_answer_and_record_name_the_same_bucket(gateway: Gateway) -> None:
    """Who asks for evidence later finds the bucket that the answer named; overrides have none."""
    split(gateway, 50, 50)
    answers = [ask(gateway, {"x-routing-key": f"customer-{n}"}) for n in range(20)]
    said = {a.headers["x-prediction-id"]: SERVED_BY.fullmatch(a.headers["x-served-by"]) for a in answers}
    expected = {one: int(found[5]) for one, found in said.items() if found}
    assert len(expected) == 20
    named = ask(gateway, {"x-routing-key": "customer-1", "x-variant": "canary"})
    assert named.headers["x-served-by"].endswith("why=override")
    expected[named.headers["x-prediction-id"]] = -1
    until(lambda: expected.items() <= buckets(gateway).items(), 5, "the records are written")


def buckets(gateway: Gateway) -> dict[str, int]:
    """The bucket of every prediction on record, by its id."""
    found: dict[str, int] = {}
    for read in blocks_of(reader(gateway.layout.root).read()):
        columns = {column.name: np.asarray(column.values) for column in record_columns([read])}
        ids = [str(UUID(bytes=bytes(row))) for row in columns["prediction_id"]]
        found |= dict(zip(ids, columns["bucket"].tolist(), strict=True))
    return found


def test_overrides_are_stronger_than_the_split(gateway: Gateway) -> None:
    """A version or label in the path beats `x-variant`, and that beats the key."""
    split(gateway, 90, 10)
    variant = {"x-variant": "canary"}
    for n in range(10):
        key = {"x-routing-key": f"customer-{n}"}
        assert served(ask(gateway, key, "/v2/models/m/versions/2/predict")) == (2, "explicit")
        assert served(ask(gateway, key, "/v2/models/m/versions/stable/predict")) == (1, "explicit")
        assert served(ask(gateway, key, "/v2/models/m/versions/canary/predict")) == (2, "explicit")
        assert served(ask(gateway, key | variant)) == (2, "canary")
        assert served(ask(gateway, variant, "/v2/models/m/versions/1/predict"))[0] == 1
    refused = ask(gateway, {"x-variant": "nope"})
    assert (refused.status_code, "stable, canary" in refused.json()["error"]) == (404, True)
    split(gateway, 100, 0)
    assert ask(gateway, path="/v2/models/m/versions/canary/predict").status_code == 404


def test_a_column_can_be_the_key(gateway: Gateway) -> None:
    """A value gets the same version as rows, as JSON tensors and as binary data, whatever the header."""
    split(gateway, 50, 50, assignment={"key": {"kind": "input", "name": "f0"}})
    for number in range(20):
        expected = served(ask(gateway, first=float(number)))[0]
        explained = gateway.admin("GET", f"/api/models/m/assignment?key={number}").json()
        assert explained["version"] == expected
        other = ask(gateway, {"x-routing-key": "somebody"}, first=float(number))
        assert served(other)[0] == expected
        assert served(gateway.infer("m", [[float(number), 0, 0, 0]]))[0] == expected
        assert served(binary(gateway, number))[0] == expected


def binary(gateway: Gateway, first: float) -> httpx.Response:
    """Ask with a binary tensor."""
    head = (
        b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","parameters":{"binary_data_size":16}}],'
        b'"outputs":[{"name":"y"}]}'
    )
    return gateway.client.post(
        f"{gateway.ports.data}/v2/models/m/infer",
        content=head + struct.pack("<4f", first, 0, 0, 0),
        headers={"inference-header-content-length": str(len(head))},
    )


def test_without_a_key_requests_are_spread(gateway: Gateway) -> None:
    """A request without a key goes by its prediction id, so both versions answer."""
    split(gateway, 50, 50)
    found = {served(ask(gateway))[0] for _ in range(60)}
    assert found == {1, 2}


def test_a_sequence_sticks(gateway: Gateway) -> None:
    """Clients that know no header are kept together by their sequence id."""
    split(gateway, 50, 50)
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 0, 0, 0]}
    for sequence in range(1, 11):
        body = {"inputs": [tensor], "parameters": {"sequence_id": sequence}}
        url = f"{gateway.ports.data}/v2/models/m/infer"
        assert len({served(httpx.post(url, json=body))[0] for _ in range(5)}) == 1
