"""Delivering a notification: a receiver takes it, or says why not. Whoever delivers has a loop.

Whatever the other side does, a delivery ends in time and holds little: answers are not read beyond their
status, redirects are not followed, output of commands is dropped.
"""

from typing import Protocol

DELIVERY_S = 10.0
"""For all of one attempt."""


class NotDelivered(Exception):
    """Why; without addresses, paths and secrets of the receiver. `again`: another attempt may succeed."""

    def __init__(self, text: str, again: bool = True) -> None:
        super().__init__(text)
        self.again = again


class Receiver(Protocol):
    """Takes notifications."""

    async def deliver(self, body: bytes, delivery: str, now_s: int) -> None:
        """Deliver a JSON document; `delivery` is the same for every attempt. Raises NotDelivered."""
