"""The names of all metrics, as the sources name them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ("_total", "_bucket", "_count", "_sum")


def scraped_names() -> set[str]:
    """Return every name that a scrape can have."""
    sources = "".join(path.read_text() for path in (ROOT / "gateway" / "metrics").glob("*.py"))
    names = set(re.findall(r'"(driftgate_\w+)"', sources))
    return names | {name + part for name in names for part in PARTS}
