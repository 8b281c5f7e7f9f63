"""The moments at which clocks of a zone show a time: one, or two, or the leap over it. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo


def moments(local: datetime, zone: tzinfo | None) -> list[datetime]:
    """Return, in UTC, the moments at which clocks of *zone* show *local*: one, or two, or the one that leaps over it.

    *zone* is this computer's if it is ``None``. Python gives a time that is missing two readings, by the offsets before
    and after (PEP 495): clocks leap between.
    """
    local = local.replace(tzinfo=None)
    before, after = sorted(_placed(local.replace(fold=fold), zone) for fold in (0, 1))
    if before == after:
        return [before]
    if before.astimezone(zone).replace(tzinfo=None, fold=0) == local.replace(fold=0):
        return [before, after]
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return [after]


def _placed(local: datetime, zone: tzinfo | None) -> datetime:
    """Return in UTC what a clock of *zone*, or of this computer, shows as *local*."""
    seconds = local.timestamp() if zone is None else local.replace(tzinfo=zone).timestamp()
    return datetime.fromtimestamp(seconds, timezone.utc)
