"""ConfigMgr client versions, such as ``5.00.8790.1007``, and what a client of that version can do."""

from __future__ import annotations

import re

TIME_OUT_VERSION = (5, 0, 8790)
"""Clients of this version (release 1902) and later leave the mode by themselves. Microsoft, "What's new in version
1902": provisioning mode is limited in time."""


def leaves_by_itself(version: str) -> bool | None:
    """Return whether a client of *version* leaves the mode after its time; ``None`` if *version* is not a version.

    Versions compare as numbers: ``5.00`` is ``5.0``.
    """
    text = version.strip()
    if not re.fullmatch(r"\d{1,9}(?:\.\d{1,9}){1,5}", text):
        return None
    return tuple(int(part) for part in text.split(".")) >= TIME_OUT_VERSION
