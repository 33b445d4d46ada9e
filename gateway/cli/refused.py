"""What a command says that cannot be done, and what its exit code tells a script."""

import enum

EXIT_CODES = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 contradicts the present state, "
    "5 no answer from the server, 6 not done in time, 7 a token is missing or lacks the scope."
)


class Exit(enum.IntEnum):
    """What the exit code of a command tells a script."""

    DONE = 0
    FAILED = 1
    NOT_FOUND = 3
    CONFLICT = 4
    UNREACHABLE = 5
    TIMED_OUT = 6
    NOT_ALLOWED = 7


_EXIT_OF = {
    401: Exit.NOT_ALLOWED,
    403: Exit.NOT_ALLOWED,
    404: Exit.NOT_FOUND,
    409: Exit.CONFLICT,
    412: Exit.CONFLICT,
    428: Exit.CONFLICT,
    504: Exit.TIMED_OUT,
}


class Refused(Exception):
    """A command that is not done: why, and the exit code for it.

    `outdated` says that the state is no longer the one that the call was made for.
    """

    def __init__(self, text: str, code: Exit, outdated: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.outdated = outdated


def exit_of(status: int) -> Exit:
    """Return the exit code for a refusal with this HTTP status."""
    return _EXIT_OF.get(status, Exit.FAILED)
