"""ConfigMgr client versions, such as ``5.00.8790.1007``, and what a client of that version can do.

Source of the table: Microsoft, "Updates and servicing for Configuration Manager" (version, build). Releases after
2111 are general knowledge and marked so.
"""

from __future__ import annotations

import re

TIME_OUT_BUILD = 8790
"""Clients of this build (release 1902) and later leave the mode by themselves. Microsoft, "What's new in version
1902": provisioning mode is limited in time."""

RELEASES: dict[int, str] = {
    **{8325: "1511", 8355: "1602", 8412: "1606", 8458: "1610", 8498: "1702", 8540: "1706", 8577: "1710"},
    **{8634: "1802", 8692: "1806", 8740: "1810", 8790: "1902", 8853: "1906", 8913: "1910", 8968: "2002"},
    **{9012: "2006", 9040: "2010", 9049: "2103", 9058: "2107", 9068: "2111"},
    # general knowledge, not looked up in a document
    **{9078: "2203", 9088: "2207", 9096: "2211", 9106: "2303", 9122: "2309", 9128: "2403", 9132: "2409"},
}
"""Build to release."""


def numbers(version: str) -> tuple[int, ...] | None:
    """Return the parts of a client version as numbers (``5.00`` is ``5.0``), or ``None`` if it is not a version."""
    if not re.fullmatch(r"\s*\d{1,9}(?:\.\d{1,9}){1,5}\s*", version):
        return None
    return tuple(int(part) for part in version.strip().split("."))


def build(version: str) -> int | None:
    """Return the build, the third part: 8790 of ``5.00.8790.1007``."""
    parts = numbers(version)
    return parts[2] if parts is not None and len(parts) >= 3 else None


def leaves_by_itself(version: str) -> bool | None:
    """Return whether a client of *version* leaves the mode after its time; ``None`` if *version* is not a version."""
    parts = numbers(version)
    if parts is None:
        return None
    return (*parts[:3], 0, 0, 0)[:3] >= (5, 0, TIME_OUT_BUILD)


def release(version: str) -> str | None:
    """Return the release, ``1902`` for build 8790; ``None`` for an unknown build."""
    return RELEASES.get(build(version) or 0)
