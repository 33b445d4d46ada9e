"""Text that may hold what clients sent, made harmless for the lines and terminals that show it. Pure."""

_UNSAFE = {
    *range(0x20),
    *range(0x7F, 0xA0),
    *range(0x200B, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xD800, 0xE000),
    0xFEFF,
}
"""Controls, ends of lines, what reorders text or is not seen, and halves of surrogate pairs."""
_ESCAPES = {code: f"\\u{code:04x}" for code in _UNSAFE}
ELLIPSIS = "…"


def plain(text: str, most: int) -> str:
    """Return one line of at most `most` characters; what could steer a reader is spelt out as `\\u001b`."""
    shown = text[: most + 1].translate(_ESCAPES)
    return shown if len(shown) <= most else shown[: most - 1] + ELLIPSIS
