"""Format numbers of JSON files: looked at first, for the rest of a newer file may be anything."""

import msgspec


class _OnlyFormat(msgspec.Struct):
    format: int


def other_format(data: bytes, known: int) -> int | None:
    """Return the format number of a JSON document if it is not the one `known`, else None.

    A document without one, or one that is damaged, gives None: reading it says what is wrong.
    """
    try:
        found = msgspec.json.decode(data, type=_OnlyFormat).format
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return None if found == known else found
