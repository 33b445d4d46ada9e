"""How alerts look in a terminal."""

from datetime import UTC, datetime

from driftgate.gateway.admin.alert_documents import AlertDocument, AlertsAnswer
from driftgate.gateway.cli.terminal import console, plain, table
from driftgate.monitoring.alerts.book import Silence

NAMED = 3
"""Features that a line shows."""


def print_alerts(answer: AlertsAnswer) -> None:
    """Print one line per alert, then one per silence."""
    if not answer.alerts:
        console().print("No alerts.")
    else:
        rows = table("ALERT", "STATE", "SEVERITY", "RULE", "VERSION", "SINCE", "FEATURES", "WHAT")
        for one in answer.alerts:
            rows.add_row(*map(plain, _row(one)))
        console().print(rows)
    if answer.silences:
        rows = table("SILENCE", "RULE", "VERSION", "UNTIL", "BY", "WHY")
        for silence in answer.silences:
            rows.add_row(*map(plain, _silence_row(silence)))
        console().print(rows)


def print_alert(one: AlertDocument) -> None:
    """Print everything that is known of an alert."""
    version = f" version {one.version}" if one.version else ""
    where = "".join(f", {text}" for text in (one.arm, one.segment) if text)
    rule = one.rule.replace("_", " ")
    lines = [
        f"{one.severity}: {rule} of {one.model}{version}{where}",
        one.text,
        f"{one.state} since {_time(one.state_us)}; first seen {_time(one.first_us)}; began about "
        f"{_time(one.onset_us) if one.onset_us else 'an unknown time'}",
    ]
    if one.who:
        lines.append(f"acknowledged by {one.who}: {one.why}")
    lines += [f"told {told.receiver} at {_time(told.at_us)}: {told.said}" for told in one.notified]
    for line in lines:
        console().print(plain(line))
    if one.features:
        rows = table("FEATURE", "WHAT", "LOG10 EVIDENCE")
        for feature in one.features:
            rows.add_row(*map(plain, (feature.feature, feature.what, f"{feature.log10_evidence:.1f}")))
        console().print(rows)


def _row(one: AlertDocument) -> tuple[str, ...]:
    names = list(dict.fromkeys(feature.feature for feature in one.features))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return (
        f"{one.model}/{one.id}",
        one.state,
        one.severity,
        one.rule.replace("_", " "),
        str(one.version) if one.version else "",
        _time(one.onset_us or one.first_us),
        ", ".join(names[:NAMED]) + more,
        one.text,
    )


def _silence_row(one: Silence) -> tuple[str, ...]:
    rule = one.rule.replace("_", " ") if one.rule else "any"
    version = str(one.version) if one.version else "any"
    return f"{one.model}/{one.id}", rule, version, _time(one.until_us), one.who, one.why


def _time(time_us: int) -> str:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
