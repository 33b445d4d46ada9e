"""Extensions of the protocol whose state clients may read and nobody can change: they are not in use here."""

import msgspec

_MEMORIES = ("systemsharedmemory", "cudasharedmemory")
_LOGGING = {
    "log_file": "",
    "log_info": True,
    "log_warning": True,
    "log_error": True,
    "log_verbose_level": 0,
    "log_format": "default",
}
_TRACING = {
    "trace_level": ["OFF"],
    "trace_rate": "1000",
    "trace_count": "-1",
    "log_frequency": "0",
    "trace_file": "",
    "trace_mode": "triton",
}
_TRACE_PATHS = ("/v2/trace/setting", "/v2/models/{model}/trace/setting")
_STATE_OF: dict[str, object] = {
    "/v2/logging": _LOGGING,
    **dict.fromkeys(_TRACE_PATHS, _TRACING),
    **{f"/v2/{memory}/status": [] for memory in _MEMORIES},
    **{f"/v2/{memory}/region/{{region}}/status": [] for memory in _MEMORIES},
}
_MEMORY_CHANGES = tuple(
    f"/v2/{memory}/{change}"
    for memory in _MEMORIES
    for change in ("region/{region}/register", "region/{region}/unregister", "unregister")
)

STATES = {path: msgspec.json.encode(state) for path, state in _STATE_OF.items()}
"""What is answered to a GET, by path."""

REFUSALS = {
    "/v2/logging": "logging is set where the gateway is started, in its settings",
    **dict.fromkeys(_TRACE_PATHS, "there is no tracing to set; send a traceparent header, which is logged"),
    **dict.fromkeys(_MEMORY_CHANGES, "memory is not shared with clients; send tensors as binary data"),
}
"""Why a POST is refused, by path."""
