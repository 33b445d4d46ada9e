"""Which stored features of a version a request may send itself: worked out once, when it is loaded."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.view import Feature
from driftgate.models.schema.binding import BoundView
from driftgate.models.schema.manifest import Column
from driftgate.models.schema.signature import DATATYPES


class OverrideColumn(NamedTuple):
    """A column of one of the model's inputs that a request may send itself, as the input `name`."""

    name: str
    input: str
    column: int


class Override(NamedTuple):
    """A feature that a request may send itself, column by column; `status` is its place among statuses.

    `dtype` holds the values of all `columns`; `elements` are those of its block, one for each.
    """

    feature: Feature
    dtype: "np.dtype[np.generic]"
    view: int
    status: int
    elements: slice
    columns: tuple[OverrideColumn, ...]


def overrides_of(
    views: Sequence[tuple[BoundView, RowLayout]], columns: Mapping[str, Column]
) -> tuple[Override, ...]:
    """Return what a request may send of these views, whose features fill columns of the model."""
    found = []
    status = 0
    for number, (view, layout) in enumerate(views):
        for one in view.features:
            if one.overridable:
                place = layout.places[one.feature]
                found.append(
                    Override(
                        feature=layout.view.feature(one.feature),
                        dtype=np.result_type(
                            *(DATATYPES[columns[name].datatype].dtype for name in one.columns)
                        ),
                        view=number,
                        status=status,
                        elements=slice(place.start, place.start + place.length),
                        columns=tuple(
                            OverrideColumn(name, columns[name].input, columns[name].index or 0)
                            for name in one.columns
                        ),
                    )
                )
            status += 1
    return tuple(found)
