"""What calls of the admin API know beside path and body."""

import pytest

from driftgate.gateway.access.route_scopes import ADMIN_ROUTES
from driftgate.gateway.admin.parameters import DRY_RUN, IF_MATCH, WAIT, check_query, parameters_of
from driftgate.gateway.errors import BadRequest

KNOWN = (DRY_RUN, WAIT, IF_MATCH)
PATH = "/api/models/{model}/promote"


@pytest.mark.parametrize("given", [["dryrun"], ["dry_run", "x"], ["If-Match"], ["wait", "wait"], [""]])
def test_what_a_call_does_not_know_is_refused(given: list[str]) -> None:
    """A misspelt `dry_run` is no change, and of two values none wins in silence."""
    with pytest.raises(BadRequest):
        check_query(PATH, KNOWN, given)


def test_what_a_call_knows_is_taken() -> None:
    """Each parameter may be there once; calls of other protocols may carry what their clients add."""
    check_query(PATH, KNOWN, ["wait", "dry_run"])
    check_query("/health", (), ["probe"])
    check_query("/v2/repository/index", (), ["anything"])


def test_every_change_of_traffic_can_be_tried_and_guarded() -> None:
    """What an operator may do to a model's traffic knows dry_run and If-Match."""
    changing = {(method, path) for method, path in ADMIN_ROUTES if method != "GET" and "{model}" in path}
    for verb in ("promote", "rollback", "pin", "unpin", "shadow", "traffic"):
        for route in (route for route in changing if route[1].endswith(f"/{verb}")):
            assert {"dry_run", "If-Match"} <= {it.name for it in parameters_of(*route)}, route
