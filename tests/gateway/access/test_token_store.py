"""The token file: private, never half written, and seen by whoever watches it."""

import resource
import stat
import threading
from io import BytesIO
from pathlib import Path

import pytest

from driftgate.gateway.access.token_store import LOOK_EVERY_S, TokenStore, TokenWatch, Wish
from driftgate.gateway.access.tokens import UnreadableTokens
from driftgate.gateway.errors import BadRequest, NotFound
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.listeners import CannotStart
from driftgate.gateway.logs import Logger
from driftgate.gateway.processes.start_access import check_access
from driftgate.gateway.settings import Settings


def store_in(root: Path) -> TokenStore:
    """Return the tokens in a directory, with a clock that stands."""
    return TokenStore(root / "tokens.json", lambda: "2026-01-01T00:00:00Z")


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Nobody but its owner may read the file, and it holds no secret."""
    token, text = store_in(tmp_path).create(Wish("risk", ("infer:fraud*",)), "me")
    path = tmp_path / "tokens.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert text.rpartition("_")[2] not in path.read_text()
    assert store_in(tmp_path).read().tokens == (token,)
    assert text not in repr(token)


def test_a_wish_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    """A wrong scope makes no token, and what is not there cannot be revoked."""
    store = store_in(tmp_path)
    with pytest.raises(BadRequest):
        store.create(Wish("risk", ("fly:*",)), "me")
    with pytest.raises(NotFound):
        store.revoke("abcdefgh", "me")
    assert store.read().tokens == ()


def test_writers_lose_nothing_of_each_other(tmp_path: Path) -> None:
    """Several at a time make tokens; all of them are there."""

    def make(number: int) -> None:
        for _ in range(5):
            store_in(tmp_path).create(Wish(f"t{number}", ("read:*",)), "me")

    writers = [threading.Thread(target=make, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len({token.id for token in store_in(tmp_path).read().tokens}) == 20


def test_a_watch_that_could_not_read_tries_again(tmp_path: Path) -> None:
    """A process that is short of descriptors for a moment learns of a revoked token right after it."""
    store, log = store_in(tmp_path), BytesIO()
    watch = TokenWatch(tmp_path / "tokens.json", Logger("worker-0", stream=log))
    token, text = store.create(Wish("t", ("infer:m",)), "me")
    watch.refresh()
    store.revoke(token.id, "me")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        watch.refresh()
        watch.refresh()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert watch.current.holder_of(text) is not None
    assert log.getvalue().count(b"tokens_unreadable") == 1
    watch.refresh()
    assert watch.current.holder_of(text) is None


def test_a_watch_sees_changes_and_survives_damage(tmp_path: Path) -> None:
    """Tokens come and go within a look; a damaged file leaves what was there and is logged once."""
    log = BytesIO()
    watch = TokenWatch(tmp_path / "tokens.json", Logger("worker-0", stream=log))
    watch.look(0.0)
    first, text = store_in(tmp_path).create(Wish("a", ("infer:*",)), "me")
    watch.look(LOOK_EVERY_S / 2)
    assert watch.current.holder_of(text) is None
    watch.look(LOOK_EVERY_S)
    assert watch.current.holder_of(text) is not None

    before = watch.current
    whole = (tmp_path / "tokens.json").read_bytes()
    (tmp_path / "tokens.json").write_bytes(b"{")
    for _ in range(3):
        watch.refresh()
    assert watch.current is before
    assert log.getvalue().count(b"tokens_unreadable") == 1

    (tmp_path / "tokens.json").write_bytes(whole)
    store_in(tmp_path).revoke(first.id, "me")
    watch.refresh()
    assert watch.current.holder_of(text) is None
    (tmp_path / "tokens.json").unlink()
    watch.refresh()
    assert len(watch.current) == 0


def test_a_damaged_file_stops_a_start_and_a_change(tmp_path: Path) -> None:
    """Nothing is built on a file that cannot be read: a change would forget the tokens in it."""
    layout, logger = StateLayout(tmp_path), Logger("supervisor", stream=BytesIO())
    check_access(Settings(), layout, logger)
    (tmp_path / "tokens.json").write_bytes(b"{")
    with pytest.raises(CannotStart, match=r"tokens\.json"):
        check_access(Settings(), layout, logger)
    with pytest.raises(UnreadableTokens):
        store_in(tmp_path).create(Wish("a", ("infer:*",)), "me")
    assert (tmp_path / "tokens.json").read_bytes() == b"{"
