"""What a run with an inventory would ask, as text: a line for each host, then counts and what is left out."""

from __future__ import annotations

from collections.abc import Iterator

from provmode.connector.sources.found import LeftOut
from provmode.fleet.asked import Asked, AskedHost
from provmode.report.lines import NAMES_SHOWN, count_of, fold
from provmode.text import visible


def inventory_lines(asked: Asked, *, wide: bool) -> Iterator[str]:
    """Yield the lines. What is left out has a line for each reason, with all names if *wide*, else with a few."""
    columns = [_columns(host) for host in asked.hosts]
    widths = [min(40, max(map(len, column))) for column in zip(*columns, strict=True)]
    for cells in columns:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        yield visible("  ".join(padded).rstrip())
    yield ""
    yield f"{count_of(len(asked.hosts))}: " + ", ".join(
        f"{len(hosts):,} by {words}" for words, hosts in fold(asked.hosts, _transport)
    )
    if asked.groups:
        yield visible("groups: " + ", ".join(f"{group} {count:,}" for group, count in asked.groups.items()))
    for why, left_out in fold(asked.left_out, lambda item: item.why):
        yield visible(f"left out, {why}: {len(left_out):,} ({_names(left_out, wide=wide)})")


def _columns(host: AskedHost) -> tuple[str, ...]:
    address = f"[{host.address}]" if ":" in host.address else host.address
    meant = f", has to be {host.computer}" if host.computer and host.computer != host.host else ""
    only = ", read-only" if host.read_only else ""
    return (
        host.host,
        f"{address}:{host.port}",
        f"{_transport(host)}{meant}{only}",
        host.user or ("no user needed" if host.transport in ("certificate", "kerberos") else "no user yet"),
        ", ".join(host.groups),
    )


def _transport(host: AskedHost) -> str:
    return f"{host.transport} over {host.scheme}"


def _names(left_out: list[LeftOut], *, wide: bool) -> str:
    shown = left_out if wide else left_out[:NAMES_SHOWN]
    names = [f"{item.what}: {item.place}" if item.place else item.what for item in shown]
    more = f" and {len(left_out) - len(shown):,} more" if len(shown) < len(left_out) else ""
    return ", ".join(names) + more
