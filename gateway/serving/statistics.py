"""The protocol's statistics from what the slots counted. Pure."""

from driftgate.gateway.state.counters import (
    ENCODE_NS,
    EXECUTIONS,
    FAIL,
    FAIL_NS,
    INFER_NS,
    LAST_MS,
    PARSE_NS,
    QUEUE_NS,
    ROWS,
    SUCCESS,
    SUCCESS_NS,
    CountedVersion,
)
from driftgate.gateway.wire.oip_documents import Duration, VersionStatistics


def statistics_of(counted: CountedVersion) -> VersionStatistics:
    """Return the statistics of one version; requests that shared a call share its time."""
    cells = counted.cells
    answered = cells[SUCCESS]
    return VersionStatistics(
        name=counted.model,
        version=int(counted.version),
        last_inference_ms=cells[LAST_MS],
        inference_count=cells[ROWS],
        execution_count=cells[EXECUTIONS],
        success=Duration(answered, cells[SUCCESS_NS]),
        fail=Duration(cells[FAIL], cells[FAIL_NS]),
        queue=Duration(answered, cells[QUEUE_NS]),
        compute_input=Duration(answered, cells[PARSE_NS]),
        compute_infer=Duration(answered, cells[INFER_NS]),
        compute_output=Duration(answered, cells[ENCODE_NS]),
    )
