"""Which addresses belong to the internet, whatever they are wrapped in. Pure.

Who may name a webhook must not reach this machine, its network or its cloud's metadata by it.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_TRANSLATED = IPv6Network("64:ff9b::/96")
"""IPv4 behind a translator (RFC 6052)."""
_COMPATIBLE = IPv6Network("::/96")
"""IPv4 as it was once written in IPv6 (RFC 4291); the loopback ::1 is there too."""


def is_public(address: str) -> bool:
    """Tell whether an address is on the internet: not private, loopback, link-local, multicast or reserved.

    An IPv6 address that carries an IPv4 address is as public as that. Raises ValueError for other text.
    """
    found = ip_address(address)
    inner = _carried(found) if isinstance(found, IPv6Address) else None
    judged = inner or found
    return judged.is_global and not judged.is_multicast and not judged.is_reserved


def _carried(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address.teredo:
        return address.teredo[1]
    if address in _TRANSLATED or address in _COMPATIBLE:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None
