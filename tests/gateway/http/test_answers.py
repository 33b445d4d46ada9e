"""What an error becomes on the wire."""

import json

from driftgate.gateway.http.answers import error_answer
from driftgate.models.errors import InvalidInput, RunError


def test_texts_of_libraries_stay_inside() -> None:
    """What the runtime or the interpreter said is for the log; a client gets a fixed text."""
    for error, status in ((RunError("[ONNXRuntimeError] : 2 : /secret"), 422), (OSError("/secret"), 500)):
        answer = error_answer(error)
        assert answer.status == status
        assert b"secret" not in answer.body
        assert b"the server's log has the details" in answer.body


def test_texts_for_clients_are_sent() -> None:
    """An error whose text names what the client did wrong is sent as it is."""
    assert json.loads(error_answer(InvalidInput("row 3: no")).body) == {"error": "row 3: no"}
