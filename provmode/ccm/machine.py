"""What PCs differ in that decides how they take a change: model, build of Windows, and where they are. Pure.

Only PCs on which something will be changed are asked. Sources: Microsoft, "Win32_ComputerSystem class" (``Model``) and
"Win32_OperatingSystem class" (``BuildNumber``); that ``DynamicSiteName`` of Netlogon holds the site of Active Directory
that the PC found itself in, and ``AssignedSiteCode`` the site of ConfigMgr: general knowledge, not confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provmode.reading import Absent, Known, Reading, Unknown, known, plain
from provmode.text import shortened
from provmode.windows.conversation import Conversation, ask
from provmode.windows.registry import Key, ValueType, data_of, get_value
from provmode.wsman import Enumerate, Instance, text

MODEL = Enumerate.query("root/cimv2", "SELECT Model FROM Win32_ComputerSystem")
BUILD = Enumerate.query("root/cimv2", "SELECT BuildNumber FROM Win32_OperatingSystem")
NETLOGON = Key("HKLM", r"SYSTEM\CurrentControlSet\Services\Netlogon\Parameters")
MOBILE_CLIENT = Key("HKLM", r"SOFTWARE\Microsoft\SMS\Mobile Client")
LONGEST = 100
"""Characters of a model, a build or a site."""


NOT_ASKED = Unknown("not-read", "the site of Active Directory is known")


@dataclass(frozen=True)
class Machine:
    """What is known of a PC beside its client."""

    model: Reading[str]
    build: Reading[str]
    """Of Windows, as in ``22631``."""
    ad_site: Reading[str]
    """The site of Active Directory that it is in."""
    site_code: Reading[str] = NOT_ASKED
    """The ConfigMgr site that its client is assigned to; asked only if the other site is not known."""

    def to_json(self) -> dict[str, Any]:
        """Return the readings by name."""
        return {name: plain(reading) for name, reading in vars(self).items()}


def machine() -> Conversation[Machine]:
    """Ask a PC's model, build and site."""
    model = yield from ask(MODEL, lambda found: _only(found, "Model"), "model")
    build = yield from ask(BUILD, lambda found: _only(found, "BuildNumber"), "build")
    ad_site = yield from _value(NETLOGON, "DynamicSiteName")
    if known(ad_site, ""):
        return Machine(model, build, ad_site)
    return Machine(model, build, ad_site, (yield from _value(MOBILE_CLIENT, "AssignedSiteCode")))


def _only(found: list[Instance], name: str) -> Reading[str]:
    value = text(found[0], name) if found else None
    return _known(value) if value is not None else Unknown("malformed", f"{name} is missing")


def _value(key: Key, name: str) -> Conversation[Reading[str]]:
    def read(answer: Instance) -> Reading[str]:
        data = data_of(answer, ValueType.REG_SZ, f"{key} {name}")
        return _known(str(data.value.data)) if isinstance(data, Known) else data

    return (yield from ask(get_value(key, name), read, name))


def _known(value: str) -> Reading[str]:
    words = shortened(" ".join(value.split()), LONGEST)
    return Known(words) if words else Absent()


def known_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Return what is known of a PC by name, of what `Machine.to_json` wrote or an older plan does not have."""
    readings = document.get("machine")
    found = {}
    for name, reading in readings.items() if isinstance(readings, Mapping) else ():
        value = reading.get("known") if isinstance(reading, Mapping) else None
        if isinstance(value, str) and value:
            found[str(name)] = value
    return found
