"""The guard before predictions: what it remembers of a head, and for how long."""

import random
from io import BytesIO
from pathlib import Path

import pytest

from driftgate.gateway.access.guards import Guard, PredictGuard
from driftgate.gateway.access.quotas import Quotas
from driftgate.gateway.access.refusals import RefusalReport, read_report
from driftgate.gateway.access.route_scopes import FILL, KNOW, OPERATE
from driftgate.gateway.access.token_store import TokenStore, TokenWatch, Wish
from driftgate.gateway.access.tokens import Quota, token_text
from driftgate.gateway.errors import Forbidden, QuotaExceeded, Unauthorized
from driftgate.gateway.http.headers import RequestHeaders, read_headers
from driftgate.gateway.logs import Logger

UNKNOWN = token_text(random.Random(1).randbytes(5), random.Random(2).randbytes(32))


class Gate:
    """A guard on a real token file."""

    def __init__(self, root: Path, demanded: bool = True, reporting: bool = False) -> None:
        self.store = TokenStore(root / "tokens.json", lambda: "now")
        self.watch = TokenWatch(root / "tokens.json", Logger("worker-0", stream=BytesIO()))
        self.report = RefusalReport(root / "refusals.json", lambda: 1.0) if reporting else None
        quotas = Quotas(root / "quotas", lambda: 10**9)
        self.guard = PredictGuard(self.watch, quotas, demanded, self.report)

    def token(self, *scopes: str, quota: Quota | None = None) -> str:
        """Make a token that is good at once."""
        text = self.store.create(Wish("t", scopes, quota), "me")[1]
        self.watch.refresh()
        return text


def head(token: str, *more: tuple[bytes, bytes]) -> RequestHeaders:
    """Return the headers of a request with a token."""
    return read_headers([(b"authorization", b"Bearer " + token.encode()), *more])


def test_a_head_is_judged_once_per_set_of_tokens(tmp_path: Path) -> None:
    """A known head keeps its holder until the tokens change; then a revoked one is refused."""
    gate = Gate(tmp_path)
    mine = gate.token("infer:m")
    headers = head(mine)
    for _ in range(3):
        gate.guard.admit(headers, "m", "")
    assert (headers.holder is not None, headers.judged_by is gate.watch.current) == (True, True)
    gate.store.revoke(mine.split("_")[1], "me")
    gate.guard.admit(headers, "m", "")
    gate.watch.refresh()
    with pytest.raises(Unauthorized):
        gate.guard.admit(headers, "m", "")


def test_refused_heads_are_refused_early(tmp_path: Path) -> None:
    """Before a body is read, and as whole requests, those without the scope are told so."""
    gate = Gate(tmp_path)
    other = gate.token("infer:other")

    def look(headers: RequestHeaders) -> None:
        gate.guard.check(headers, "m")

    def admit(headers: RequestHeaders) -> None:
        gate.guard.admit(headers, "m", "")

    for refuse in (look, admit):
        with pytest.raises(Unauthorized):
            refuse(head(UNKNOWN))
        with pytest.raises(Unauthorized):
            refuse(RequestHeaders())
        with pytest.raises(Forbidden):
            refuse(head(other))


@pytest.mark.parametrize(("demanded", "scope"), [(True, "infer:m"), (False, "infer:m"), (False, "read:*")])
def test_a_quota_is_counted_once_per_request(tmp_path: Path, demanded: bool, scope: str) -> None:
    """Whole requests use the quota of the token they show up, demanded or not; a look at a head does not."""
    gate = Gate(tmp_path, demanded)
    headers = head(gate.token(scope, quota=Quota(1.0, 2)))
    for _ in range(2):
        gate.guard.check(headers, "m")
        gate.guard.admit(headers, "m", "")
    with pytest.raises(QuotaExceeded) as refused:
        gate.guard.admit(headers, "m", "")
    assert (refused.value.reason, refused.value.retry_after_s) == ("quota", 1)


def test_reporting_lets_everybody_in(tmp_path: Path) -> None:
    """Each refusal that did not happen is counted once, with the address it came from."""
    gate = Gate(tmp_path, reporting=True)
    busy = head(gate.token("infer:m", quota=Quota(1.0, 1)))
    for headers in (busy, busy, RequestHeaders(), head(UNKNOWN)):
        gate.guard.check(headers, "m")
        gate.guard.admit(headers, "m", "10.0.0.1")
    assert gate.report is not None
    gate.report.write()
    rows = read_report(tmp_path / "refusals.json")
    assert {(row.reason, row.client, row.count) for row in rows} == {
        (reason, "10.0.0.1", 1) for reason in ("quota", "no_token", "bad_token")
    }


@pytest.mark.parametrize("demanded", [False, True])
def test_an_arm_is_named_by_operators_alone(tmp_path: Path, demanded: bool) -> None:
    """In every mode but off `x-variant` needs operate:<model>; mode control asks for nothing else."""
    gate = Gate(tmp_path, demanded)
    caller, operator = gate.token("infer:m"), gate.token("infer:m", "operate:m")
    gate.guard.admit(head(caller), "m", "")
    gate.guard.admit(head(operator, (b"x-variant", b"canary")), "m", "")
    with pytest.raises(Forbidden):
        gate.guard.admit(head(caller, (b"x-variant", b"canary")), "m", "")
    if not demanded:
        gate.guard.admit(RequestHeaders(), "m", "")
        gate.guard.admit(head(UNKNOWN), "m", "")
        with pytest.raises(Unauthorized):
            gate.guard.admit(read_headers([(b"x-variant", b"canary")]), "m", "")


def test_changes_need_a_token_wherever_there_are_tokens(tmp_path: Path) -> None:
    """Where predictions are open, loading a model and pushing features still ask for a token."""
    gate = Gate(tmp_path, demanded=False)
    guard = Guard(gate.watch, demanded=False)
    assert [guard.protects(need) for need in (OPERATE, FILL, KNOW)] == [True, True, False]
    assert not Guard(None, demanded=False).protects(FILL)


def test_headers_do_not_show_their_token() -> None:
    """Whoever prints headers prints no secret."""
    assert UNKNOWN.rpartition("_")[2] not in repr(head(UNKNOWN))
