"""The controller's clock. Pure logic never imports it: callers pass the function in."""

from __future__ import annotations

from datetime import datetime, timezone


def utc_now() -> datetime:
    """Return the controller's time, UTC."""
    return datetime.now(timezone.utc)
