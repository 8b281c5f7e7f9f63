"""The trend of compliance as the coordinates of a drawing. Pure.

Each run is a bar of four parts that together are all its PCs. The PCs that could not be assessed are a part of their
own, at the top: they never count as good. Bars stand where their run was in time, so a night without a run is a gap.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from provmode.report.page.data import Moment

WIDTH, HEIGHT = 720, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 8, 26
DATE = 75
"""The room that a date takes."""
WIDEST = 36.0
"""A bar is never wider than this."""
PARTS = ("compliant", "left_alone", "need_something", "unassessed")
"""From the bottom to the top."""


@dataclass(frozen=True)
class Drawing:
    """The coordinates."""

    paths: tuple[tuple[str, str], ...]
    """For each part its name, and the path of its bars."""
    lines: tuple[tuple[float, str], ...]
    """The height of each horizontal line, and its label."""
    dates: tuple[tuple[float, str, str], ...]
    """Where a date stands, how it is anchored, and the date."""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def drawing(moments: Sequence[Moment]) -> Drawing:
    """Return the drawing of some runs; those without PCs are left out. The runs are in the order of time."""
    runs = [moment for moment in moments if moment.total]
    places = list(_places([run.began for run in runs]))
    paths = dict.fromkeys(PARTS, "")
    for run, (left, width) in zip(runs, places, strict=True):
        height = 0.0
        for part in PARTS:
            share = getattr(run, part) / run.total
            if share:
                top, bottom = _y(height + share), _y(height)
                paths[part] += f"M{left:g} {bottom:g}V{top:g}h{width:g}V{bottom:g}z"
            height += share
    lines = tuple((_y(share / 100), f"{share} %") for share in (0, 25, 50, 75, 100))
    return Drawing(tuple(paths.items()), lines, tuple(_dates([run.began for run in runs], places)))


def _y(share: float) -> float:
    return round(TOP + (HEIGHT - BOTTOM - TOP) * (1 - share), 1)


def _places(times: Sequence[datetime]) -> Iterator[tuple[float, float]]:
    """Yield the left side and the width of each bar."""
    if not times:
        return
    room = WIDTH - RIGHT - LEFT
    gaps = [max((later - earlier).total_seconds(), 1.0) for earlier, later in itertools.pairwise(times)]
    usual = statistics.median(gaps) if gaps else 1.0
    span = max((times[-1] - times[0]).total_seconds(), 0.0) + usual
    unit = min(room / span, WIDEST / usual)
    for time, gap in zip(times, [*gaps, usual], strict=True):
        width = min(gap, usual) * unit
        left = LEFT + (time - times[0]).total_seconds() * unit
        yield round(left, 1), round(max(width * 0.86 if width > 4 else width, 0.5), 1)


def _dates(times: Sequence[datetime], places: Sequence[tuple[float, float]]) -> Iterator[tuple[float, str, str]]:
    """Yield a few dates below the bars: the last, the first if there is room, and between them what has room."""
    if not times:
        return
    end = sum(places[-1])
    yield round(end, 1), "end", f"{times[-1]:%Y-%m-%d}"
    free = LEFT - 1.0
    for time, (left, _) in zip(times, places, strict=True):
        if left >= free and left + 2 * DATE <= end:
            yield left, "start", f"{time:%Y-%m-%d}"
            free = left + 2 * DATE
