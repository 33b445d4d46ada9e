"""The JSON of an inference request, typed, with tensor data left undecoded; and what is wrong with a bad one.

Duplicate keys inside one object: the last wins, as with every parser in the field. Pure.
"""

import re
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from driftgate.gateway.errors import BadRequest


class InputParameters(Struct, gc=False):
    """Parameters of an input that mean something here."""

    binary_data_size: int | None = None
    shared_memory_region: Raw | UnsetType = UNSET


class InputTensor(Struct, gc=False):
    """One element of `inputs`."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    data: Raw | UnsetType = UNSET
    parameters: InputParameters | None = None


class OutputParameters(Struct, gc=False):
    """Parameters of a requested output that mean something here."""

    binary_data: bool | None = None
    classification: int | None = None
    shared_memory_region: Raw | UnsetType = UNSET


class OutputTensor(Struct, gc=False):
    """One element of `outputs`."""

    name: str
    parameters: OutputParameters | None = None


class Envelope(Struct, gc=False):
    """An inference request; other keys are ignored."""

    inputs: list[InputTensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[OutputTensor] | None = None


UNDECODABLE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
"""What msgspec raises for bytes that are not what was asked for."""

_DECODER = msgspec.json.Decoder(Envelope)
_PATH = re.compile(r"at `(?:key in )?\$\.?([^`]*)`")
_MISSING = re.compile(r"missing required field `([a-z_]+)`")
_WANTED = re.compile(r"Expected `([a-z]+)")
_BYTE = re.compile(r"\(byte ([0-9]+)\)")
_IN_WORDS = {
    "array": "a list",
    "bool": "true or false",
    "int": "a whole number",
    "object": "an object",
    "str": "a string",
}


def decode_envelope(body: bytes) -> Envelope:
    """Return the request in `body`; raise BadRequest that says where it is not one."""
    check_utf8(body)
    try:
        return _DECODER.decode(body)
    except UNDECODABLE as error:
        raise explained(error, body) from None


def check_utf8(body: bytes) -> None:
    """Raise BadRequest where `body` is not UTF-8: the decoder does not look into what it skips."""
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise BadRequest(f"the request body is not UTF-8 at byte {error.start}") from None


def explained(error: Exception, body: bytes) -> BadRequest:
    """Return what a person needs to know of a decoder's error, in our own words."""
    if not body:
        return BadRequest("the request body is empty; send a JSON object")
    if isinstance(error, RecursionError):
        return BadRequest("the request body is nested too deeply")
    if isinstance(error, msgspec.ValidationError):
        return BadRequest(_misfit(str(error)))
    byte = _BYTE.search(str(error))
    if byte is None:
        return BadRequest("the request body is not valid JSON: it ends too early or has a broken escape")
    at = int(byte.group(1))
    hint = "; NaN and Infinity are not JSON, null means missing" if body[at : at + 1] in b"NI-" else ""
    return BadRequest(f"the request body is not valid JSON at byte {at}{hint}")


def _misfit(problem: str) -> str:
    path = _PATH.search(problem)
    place = path.group(1) if path else ""
    missing = _MISSING.search(problem)
    if missing:
        field = f"{place}.{missing.group(1)}".lstrip(".")
        return f"the request has no '{field}'"
    name = f"'{place}' of the request" if place else "the request body"
    if "out of range" in problem:
        return f"{name} is a number beyond the range of doubles"
    wanted = _WANTED.search(problem)
    if wanted:
        return f"{name} must be {_IN_WORDS.get(wanted.group(1), 'of another type')}"
    return f"{name} is not what an inference request has there"
