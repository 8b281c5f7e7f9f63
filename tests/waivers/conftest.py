"""Waivers without a file: as text, and the moment at which they are read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from provmode.waivers.model import MAX_DAYS, Waivers
from provmode.waivers.words import parse

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=timezone.utc)
GOOD = {
    "host": '"PC-1"',
    "owner": '"Anna"',
    "reason": '"the lab rebuilds it every night"',
    "ticket": '"CHG1"',
    "created": "2026-11-20",
    "expires": "2026-12-31",
}


@pytest.fixture
def written() -> Callable[..., str]:
    """Return a function that writes a file of one waiver; ``None`` takes a key away."""

    def write(*, zone: str | None = "Europe/Berlin", **changed: str | None) -> str:
        values: dict[str, Any] = {**GOOD, **changed}
        lines = [f"{key} = {value}" for key, value in values.items() if value is not None]
        head = f'zone = "{zone}"\n\n' if zone is not None else ""
        return head + "\n".join(["[[waiver]]", *lines]) + "\n"

    return write


@pytest.fixture
def reading() -> Callable[..., Waivers]:
    """Return a function that reads a text at noon (UTC) of 2026-11-26."""

    def read(*texts: str, now: datetime = NOW, max_days: int = MAX_DAYS) -> Waivers:
        first, *others = texts
        text = first + "".join(each[each.index("[[") :] for each in others)
        return parse(text.encode(), "waivers.toml", now=now, max_days=max_days)

    return read
