"""The number of a change, as a user's own system writes it: which text may be one. Pure."""

from __future__ import annotations

from typing import Any

from provmode.fields import Field

LONGEST = 64
"""Characters that it may have."""


def is_change(value: Any) -> bool:
    """Return whether a value may be the number of a change."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST and value.isprintable() and value == value.strip()


CHANGE = Field({"type": "string", "minLength": 1, "maxLength": LONGEST}, is_change, optional=True)
"""It as a field of a plan, a report, or a journal's line."""
