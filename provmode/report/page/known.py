"""The waivers of a run on its page: those first about which somebody has to do something. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from provmode.history.waived import ABOUT
from provmode.report.page.data import KnownWaiver
from provmode.waivers.model import Effect, words_of

SHOWN = 200
"""How many waivers stand on the page."""
EXPIRED, ENDS_SOON, UNUSED, USED, OPEN = "expired", "ends soon", "matches nothing", "in use", "nothing found yet"
MEANINGS = {
    EXPIRED: "what it covers counts again",
    ENDS_SOON: "within 14 days",
    UNUSED: "take it out of the file",
    USED: "",
    OPEN: "a PC of it was not assessed, or the run was not of all PCs",
}
"""How a waiver stands, in the order of the page, and what that means."""


def known_waiver(standing: Mapping[str, Any], covered: int, uses: int | None = None) -> KnownWaiver:
    """Return a waiver as the page has it; *standing* is that of a report, and *uses* the runs in which it was used."""
    which = (f"group {standing[name]}" if name == "group" else standing[name] for name in ABOUT if standing.get(name))
    return KnownWaiver(
        ", ".join(map(str, which)),
        standing["owner"],
        standing["ticket"],
        standing["reason"],
        standing["expires"],
        _stands(standing, covered),
        standing["effect"] == Effect.HOLD.value,
        covered,
        uses,
    )


def _stands(standing: Mapping[str, Any], covered: int) -> str:
    if standing["state"] == "expired":
        return EXPIRED
    if standing["state"] == "unused":
        return UNUSED
    if standing["ends_soon"]:
        return ENDS_SOON
    return USED if covered or standing["effect"] == Effect.HOLD.value else OPEN


def next_step_of(waived: Mapping[str, Any]) -> str:
    """Return the next step about a PC with a finding that a waiver covers."""
    return f"none: waived by {words_of(waived)}"


def in_order(waivers: Iterable[KnownWaiver]) -> tuple[KnownWaiver, ...]:
    """Return waivers as the page has them: those that have expired, that end soon, that match nothing, and the rest."""
    order = list(MEANINGS)
    return tuple(sorted(waivers, key=lambda each: (order.index(each.stands), _day(each.expires))))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:  # a report that somebody wrote by hand
        return date.max
