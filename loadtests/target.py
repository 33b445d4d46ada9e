"""What is asked, and what a right answer is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from random import Random

from loadtests.wire import Answer

Check = Callable[[Answer], bool]
PATTERN = 1000


@dataclass(frozen=True)
class Question:
    """The bytes of one request and what makes an answer with status 200 a right one."""

    request: bytes
    is_right: Check | None = None

    def with_token(self, token: str) -> "Question":
        """Return the question of somebody who shows a token; "" shows none."""
        if not token:
            return self
        line, rest = self.request.split(b"\r\n", 1)
        return replace(self, request=b"%b\r\nAuthorization: Bearer %b\r\n%b" % (line, token.encode(), rest))


@dataclass(frozen=True)
class Target:
    """Questions that are asked in turn, counted under one name; `weight` is its share of the requests."""

    name: str
    questions: tuple[Question, ...]
    weight: float = 1.0


def order(targets: Sequence[Target], seed: int = 1) -> list[int]:
    """Return which target is asked when, over and over: shares within one in PATTERN, always the same."""
    total = sum(target.weight for target in targets)
    ends = [round(PATTERN * part / total) for part in accumulate(target.weight for target in targets)]
    pattern = [
        number
        for number, (start, end) in enumerate(zip([0, *ends], ends, strict=False))
        for _ in range(end - start)
    ]
    if len(targets) > 1:
        Random(seed).shuffle(pattern)  # noqa: S311 - an order, not a secret
    return pattern


def problem_of(answer: Answer, question: Question) -> str:
    """Return the kind of error that an answer is, "" for a right one."""
    if answer.status != 200:
        return f"status {answer.status}"
    if question.is_right is not None and not question.is_right(answer):
        return "mismatch"
    return ""
