"""Scopes: what the holder of a token may do, and to which models or feature views. Pure.

A scope is `admin`, or `<verb>:<pattern>` such as `infer:fraud*`. What a route asks for is a `Need`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from driftgate.gateway.errors import BadRequest

Verb = Literal["infer", "feedback", "features", "publish", "operate", "read"]

ADMIN: Literal["admin"] = "admin"
VERBS: tuple[Verb, ...] = ("infer", "feedback", "features", "publish", "operate", "read")
INCLUDED: dict[str, frozenset[Verb]] = {"publish": frozenset({"read"}), "operate": frozenset({"read"})}
"""Who changes a model sees it too: a pipeline waits for what it published."""

EVERY, SOME = "*", "/"
"""What a route is about that is no single model or view: all of them, or those that its caller may see.

The latter can be no name in a path, so that nobody asks for it but a route.
"""

MAX_PATTERN = 128
_PATTERN = re.compile(r"[A-Za-z0-9._*?-]+")


@dataclass(frozen=True)
class Scope:
    """One scope. `admin` is everything; its pattern means nothing."""

    verb: Verb | Literal["admin"]
    pattern: str = "*"

    def allows(self, verb: Verb, name: str) -> bool:
        """Tell whether this scope lets its holder do `verb` to the model or view `name`.

        Only a scope for all of them allows EVERY, and any scope SOME.
        """
        if self.verb == ADMIN:
            return True
        if self.verb != verb and verb not in INCLUDED.get(self.verb, ()):
            return False
        if name in (EVERY, SOME):
            return name == SOME or self.pattern == "*"
        return fnmatchcase(name, self.pattern)


@dataclass(frozen=True)
class Need:
    """What a route asks of who calls it: a scope with one of `verbs`, for what the path names in `of`.

    `of` is the path's parameter, EVERY where a route is about all models, or SOME where it tells of those
    that its caller may see. Without verbs only `admin` will do, unless the route is `open` to everybody.
    """

    verbs: tuple[Verb, ...] = ()
    of: str = EVERY
    open: bool = False

    def is_met_by(self, scopes: tuple[Scope, ...], name: str) -> bool:
        """Tell whether the holder of `scopes` may do this to `name`."""
        if self.open:
            return True
        if not self.verbs:
            return any(scope.verb == ADMIN for scope in scopes)
        return any(scope.allows(verb, name) for scope in scopes for verb in self.verbs)

    def name(self, parameters: Mapping[str, Any]) -> str:
        """Return what a request is about, out of the parameters of its path."""
        return self.of if self.of in (EVERY, SOME) else str(parameters[self.of])

    def text(self, name: str) -> str:
        """Say which scopes would do, for the one who lacks them."""
        return " or ".join([*(f"{verb}:{EVERY if name == SOME else name}" for verb in self.verbs), ADMIN])


def parse_scope(text: str) -> Scope:
    """Return the scope that `text` spells, else raise BadRequest that says how they are spelt."""
    if text == ADMIN:
        return Scope(ADMIN)
    verb, _, pattern = text.partition(":")
    for known in VERBS:
        if verb == known and len(pattern) <= MAX_PATTERN and _PATTERN.fullmatch(pattern):
            return Scope(known, pattern)
    raise BadRequest(
        f"{text[:64]!r} is no scope: use {ADMIN}, or one of {', '.join(VERBS)} with a pattern of names "
        "behind a colon, such as infer:fraud* or read:*"
    )
