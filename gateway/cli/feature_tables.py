"""How feature views look in a terminal."""

from driftgate.features.filling.load import LoadReport
from driftgate.gateway.admin.feature_documents import EntityAnswer, VersionSkew, ViewReport, ViewsAnswer
from driftgate.gateway.cli.model_tables import print_plain
from driftgate.gateway.cli.terminal import console, plain, table

_NO_VIEWS = "No feature views yet. `driftgate features declare VIEW.toml` declares one."


def print_views(answer: ViewsAnswer) -> None:
    """Print one line per view, then what is wrong."""
    if answer.views:
        rows = table("VIEW", "SNAPSHOT", "ENTITIES", "PUSHED", "AGE", "SIZE", "FEATURES", "OWNER", "NOTES")
        for report in answer.views:
            cells = (
                report.view.name,
                str(report.snapshot or "-"),
                str(report.rows),
                str(report.pushed),
                age_text(report.age_s),
                size_text(report.size_bytes),
                str(len(report.view.features)),
                report.view.owner,
                report.problem,
            )
            rows.add_row(*map(plain, cells))
        console().print(rows)
    elif not answer.problems:
        print_plain(_NO_VIEWS)
    for problem in answer.problems:
        print_plain(f"! {problem}")


def print_catalogue(answer: ViewsAnswer) -> None:
    """Print every feature with what it means and who reads it."""
    if not answer.views:
        print_plain(_NO_VIEWS)
        return
    rows = table("VIEW", "FEATURE", "TYPE", "UNIT", "OWNER", "READ BY", "DESCRIPTION")
    for report in answer.views:
        for feature in report.view.features:
            dtype = feature.dtype if feature.length == 1 else f"{feature.dtype}[{feature.length}]"
            owner = feature.owner or report.view.owner
            cells = (report.view.name, feature.name, dtype, feature.unit, owner)
            rows.add_row(*map(plain, (*cells, consumers_text(report, feature.name), feature.description)))
    console().print(rows)


def consumers_text(report: ViewReport, feature: str) -> str:
    """Return `fraud@3, fraud@4`: the versions that read a feature."""
    return ", ".join(f"{one.model}@{one.version}" for one in report.consumers if feature in one.features)


def print_entity(answer: EntityAnswer) -> None:
    """Print what a model would get of one entity."""
    key = ", ".join(map(str, answer.key))
    when = f"of {answer.event_time} ({age_text(answer.age_s)} ago)" if answer.event_time else "never written"
    print_plain(f"{answer.view} {key}: {when}, snapshot {answer.snapshot or '-'}")
    if answer.fault:
        print_plain(f"! what is stored was not used: {answer.fault}")
    rows = table("FEATURE", "VALUE", "STATUS", "UNIT")
    for feature in answer.features:
        value = "null" if feature.value is None else str(feature.value)
        rows.add_row(*map(plain, (feature.name, value, feature.status, feature.unit)))
    console().print(rows)


def print_load(report: LoadReport) -> None:
    """Print what became of a load, and what was rejected."""
    counts = report.counts
    what = f"snapshot {report.snapshot} with {report.entities} entities" if report.snapshot else "dry run"
    rate = f"{report.seconds:.1f} s, {report.rows_per_s:,.0f} rows/s"
    print_plain(f"{report.view}: {what}; {counts.taken} rows taken, {counts.rejected} rejected ({rate})")
    if report.resumed_at:
        print_plain(f"  went on after row {report.resumed_at}, where an earlier load had stopped")
    for reason, number in sorted(counts.reasons.items(), key=lambda item: -item[1]):
        print_plain(f"  {number} rejected: {reason}")
    for name, number in sorted(counts.nan_as_null.items()):
        print_plain(f"  {number} values of {name} were NaN and are stored as null")
    if report.unused_columns:
        print_plain(f"  columns that are not used: {', '.join(report.unused_columns)}")
    if report.rejected_file:
        print_plain(f"  rejected rows are in {report.rejected_file}")


def print_skew(versions: tuple[VersionSkew, ...]) -> None:
    """Print how sent and stored values differ, of each version the worst feature first."""
    shown = table("MODEL", "FEATURE", "ROWS", "MISMATCH", "NOT STORED", "NOT SENT", "STALE")
    for one in versions:
        for row in one.features:
            rates = (row.mismatch_rate, row.missing_rate, row.extra_rate, row.stale_rate)
            names = (plain(f"{one.model} {one.version}"), plain(row.feature), str(row.rows))
            shown.add_row(*names, *(f"{100 * rate:.3g} %" for rate in rates))
    console().print(shown)


def age_text(age_s: float | None) -> str:
    """Return an age in the largest unit of which there are two."""
    if age_s is None:
        return "-"
    for unit, seconds in (("d", 86_400), ("h", 3600), ("min", 60)):
        if age_s >= 2 * seconds:
            return f"{age_s / seconds:.0f} {unit}"
    return f"{age_s:.0f} s"


def size_text(size_bytes: int) -> str:
    """Return a size in MiB, or KiB if it is small."""
    return f"{size_bytes / 2**20:.1f} MiB" if size_bytes >= 2**20 else f"{size_bytes / 2**10:.0f} KiB"
