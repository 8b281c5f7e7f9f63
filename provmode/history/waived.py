"""Which findings were waived in a run, as the history keeps it beside the run. Pure.

What is kept are texts of whoever wrote the file of waivers, or a report that was imported: each is checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provmode.text import one_line, shortened
from provmode.waivers.model import words_of

FIELDS = ("owner", "reason", "ticket", "expires", "effect")
"""What a report says of the waiver that covers a host's finding."""
ABOUT = ("host", "hosts", "group", "rule", "verdict")
"""What a waiver is about, as far as its file says it."""
MOST = 2_000
"""Waivers that are kept of one run."""


@dataclass(frozen=True)
class Use:
    """How often one waiver covered a host's finding."""

    waived: Mapping[str, str]
    """`FIELDS`."""
    first: datetime
    last: datetime
    runs: int

    @property
    def words(self) -> str:
        """Who answers for it, until when and why."""
        return words_of(self.waived)


def about_waivers(
    rows: Iterable[tuple[str, Mapping[str, Any] | None]], standings: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Return what is kept of the waivers of a run: nothing if there were none.

    *rows* are the hosts, each with what a report says of its waiver; *standings* are all waivers of the file, as a
    report has them (``waivers``).
    """
    by_waiver: dict[tuple[str, ...], list[str]] = {}
    for host, waived in rows:
        if waived is not None:
            by_waiver.setdefault(tuple(waived[name] for name in FIELDS), []).append(host)
    used = [{**dict(zip(FIELDS, values, strict=True)), "hosts": hosts} for values, hosts in by_waiver.items()]
    kept = [
        {
            **{name: each[name] for name in (*ABOUT, *FIELDS, "number", "state", "ends_soon", "until") if name in each},
            "covered": len(each["hosts_covered"]),
        }
        for each in standings[:MOST]
    ]
    return {**({"waived": used} if used else {}), **({"waivers": kept} if kept else {})}


def in_report(document: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the same of a report that somebody kept, without what is not as a report has it."""
    found = ((str(row["host"]), _fields(row.get("waived"))) for row in rows)
    standings = document.get("waivers")
    usable = [each for each in map(_standing, standings) if each] if isinstance(standings, list) else []
    return about_waivers(found, usable)


def _fields(value: Any) -> dict[str, str] | None:
    if not isinstance(value, Mapping) or not all(isinstance(value.get(name), str) for name in FIELDS):
        return None
    return {name: _text(value[name]) for name in FIELDS}


def _standing(value: Any) -> dict[str, Any] | None:
    fields = _fields(value)
    if fields is None or value.get("state") not in ("used", "expired", "unused"):
        return None
    hosts = value.get("hosts_covered")
    about = {name: _text(value[name]) for name in ABOUT if isinstance(value.get(name), str)}
    return {
        **about,
        **fields,
        "state": value["state"],
        "ends_soon": value.get("ends_soon") is True,
        "hosts_covered": hosts if isinstance(hosts, list) else [],
    }


def _text(value: str) -> str:
    return shortened(one_line(value))


def waived_in(about: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the hosts that were waived in a run, each with its waiver, by what is kept *about* the run."""
    for each in about.get("waived", ()):
        for host in each["hosts"]:
            yield host, {name: each[name] for name in FIELDS}


def identity(standing: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what makes a waiver the same in another run: everything but its place in the file and how it stands."""
    return tuple(str(standing.get(name, "")) for name in (*ABOUT, *FIELDS))


def uses(standing: Mapping[str, Any], abouts: Iterable[Mapping[str, Any]]) -> int:
    """Return in how many runs the same waiver covered something and had not expired."""
    wanted = identity(standing)
    return sum(
        any(each["covered"] and each["state"] == "used" and identity(each) == wanted for each in about["waivers"])
        for about in abouts
        if "waivers" in about
    )
