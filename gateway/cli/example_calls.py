"""The text of a call that works: for a shell, or as a Python program."""

import pprint
import shlex

import msgspec

from driftgate.gateway.admin.documents import ExampleAnswer


def curl_call(example: ExampleAnswer) -> str:
    """Return a shell command that asks the model for the example's rows."""
    body = msgspec.json.encode({"rows": example.rows}).decode()
    words = ["curl", "-s", _url(example), "-H", "content-type: application/json", "-d", body]
    return " ".join(map(shlex.quote, words))


def python_call(example: ExampleAnswer) -> str:
    """Return a Python program that asks the model for the example's rows."""
    rows = pprint.pformat(list(example.rows), sort_dicts=False, width=100)
    return (
        "import httpx\n\n"
        f"rows = {rows}\n"
        f'answer = httpx.post({_url(example)!r}, json={{"rows": rows}})\n'
        "answer.raise_for_status()\n"
        "print(answer.json())"
    )


def _url(example: ExampleAnswer) -> str:
    return f"{example.url}/v2/models/{example.model}/predict"
