"""Pushing a file of JSON lines: how it is cut into requests, and how errors name its lines."""

import pytest

from driftgate.gateway.cli.feature_push import BATCH_BYTES, BATCH_ROWS, Line, batches, of_the_file


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ([], []),
        ([1] * (BATCH_ROWS + 1), [BATCH_ROWS, 1]),
        ([BATCH_BYTES, 1, 1], [1, 2]),
        ([BATCH_BYTES + 9, BATCH_BYTES + 9], [1, 1]),
        ([BATCH_BYTES // 2] * 5, [2, 2, 1]),
    ],
)
def test_a_request_carries_so_many_rows_and_bytes(sizes: list[int], wanted: list[int]) -> None:
    """Every line is in one request, in order, and none has more rows or, but for a single row, more bytes."""
    lines = [Line(number, b"x" * size) for number, size in enumerate(sizes, start=1)]
    found = list(batches(lines))
    assert [len(batch) for batch in found] == wanted
    assert [line for batch in found for line in batch] == lines


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        ("row 1: 'age' is missing", "line 7: 'age' is missing"),
        ("row 0, 'city': \"row 1\" is no float32", "line 4, 'city': \"row 1\" is no float32"),
        ("row 5: not of this batch", "row 5: not of this batch"),
        ("the disk is full", "the disk is full"),
    ],
)
def test_errors_name_lines_of_the_file(error: str, wanted: str) -> None:
    """What the gateway calls a row of the request is for the reader a line of the file."""
    assert of_the_file(error, [Line(4, b"{}"), Line(7, b"{}")]) == wanted
