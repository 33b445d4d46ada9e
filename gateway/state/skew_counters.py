"""What a slot counts of features that requests send although they are stored: by version and feature.

The file is made when the first such row comes. The number of blocks is bounded, so that the series made of
them are: once there is no room, what else is compared is counted together, under empty names.
"""

from pathlib import Path
from typing import NamedTuple

from driftgate.features.lookup.skew import FeatureSkew
from driftgate.gateway.state.integer_blocks import BlockFile, BlockLayout, UnreadableBlocks, read_blocks

SKEW_RESULTS = FeatureSkew.__struct_fields__
_LAYOUT = BlockLayout(b"DGSKEWC1", key_bytes=512, cells=len(SKEW_RESULTS), max_blocks=1024)
_NAME = "skew.counts"


class SkewKey(NamedTuple):
    """What is counted apart: a feature of a view, as one version of a model reads it."""

    model: str
    version: str
    view: str
    feature: str

    @property
    def names(self) -> tuple[str, str]:
        """The two names of its block; models and views have no slash in theirs."""
        return f"{self.model}/{self.version}", f"{self.view}/{self.feature}"

    @classmethod
    def of(cls, names: tuple[str, ...]) -> "SkewKey":
        """Return the key of a block."""
        (model, _, version), (view, _, feature) = (name.partition("/") for name in names)
        return cls(model, version, view, feature)


class SkewCounters:
    """The comparisons of one slot, for counting; `slot` is its directory."""

    def __init__(self, slot: Path) -> None:
        self._path = slot / _NAME
        self._file: BlockFile | None = None

    def add(self, key: SkewKey, skew: FeatureSkew) -> None:
        """Count rows in which a request carried the value of a feature that is stored too.

        While the disk has no room for the file they are not counted: predictions go on.
        """
        if self._file is None:
            try:
                self._file = BlockFile(self._path, _LAYOUT)
            except OSError:
                return
        cells = self._file.of(*key.names)
        for place, result in enumerate(SKEW_RESULTS):
            cells[place] += getattr(skew, result)


def read_skew(slots: list[Path]) -> dict[SkewKey, FeatureSkew]:
    """Return what was counted, added up over the directories of some slots; damaged files count nothing."""
    total: dict[SkewKey, FeatureSkew] = {}
    for slot in slots:
        try:
            blocks = read_blocks(slot / _NAME, _LAYOUT)
        except UnreadableBlocks:
            continue
        for names, cells in blocks:
            key = SkewKey.of(names)
            total[key] = total.get(key, FeatureSkew()) + FeatureSkew(*cells)
    return total
