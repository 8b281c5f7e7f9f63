"""The events of the provisioning engine, by ``wevtutil``: no class of WMI has this channel. Pure.

Source: Microsoft, "wevtutil"; ids and meanings from public lists of the provider's events. The names of an event's
values are not documented, so they are kept as the PC has them.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone

from provmode.errors import AccessDenied, RemoteFault
from provmode.packages.on_pc.model import ProvisioningEvent
from provmode.reading import Absent, Known, Reading, Unknown
from provmode.text import shortened
from provmode.windows.conversation import Conversation, could_not_tell
from provmode.wsman import CommandLine, Completed, MalformedAnswer, UnexpectedAnswer
from provmode.wsman.values import read_moment
from provmode.wsman.xml import child, local_name, parse

CHANNEL = "Microsoft-Windows-Provisioning-Diagnostics-Provider/Admin"
MAX_EVENTS = 64
"""The newest events are read, so many at most."""
MAX_EVENTS_OUTPUT = 512 * 1024
EVENTS_LINE = f"wevtutil qe {CHANNEL} /c:{MAX_EVENTS} /rd:true /f:xml"
EVENTS = CommandLine(EVENTS_LINE, max_output=MAX_EVENTS_OUTPUT)
NO_CHANNEL, DENIED = 15007, 5
"""Exit codes of ``wevtutil``: ERROR_EVT_CHANNEL_NOT_FOUND, ERROR_ACCESS_DENIED."""
_MAX_DATA = 16

_BEGIN, _END = re.compile("<Event[ >]"), "</Event>"


def provisioning_events() -> Conversation[Reading[tuple[ProvisioningEvent, ...]]]:
    """Ask the newest events, the newest first; absent if Windows has no such channel."""
    try:
        completed: Completed = yield EVENTS
    except (RemoteFault, AccessDenied) as error:
        return could_not_tell(error)
    if completed.cut:
        return Unknown("too-large", f"{MAX_EVENTS} events have over {MAX_EVENTS_OUTPUT:,} bytes")
    if completed.exit_code == NO_CHANNEL:
        return Absent()
    if completed.exit_code == DENIED:
        return Unknown("access-denied", f"wevtutil: the account may not read {CHANNEL}")
    if completed.exit_code != 0:
        return Unknown("fault", f"wevtutil ended with {completed.exit_code}")
    return read_events(completed.stdout.decode("utf-8", "replace"))


def read_events(output: str) -> Reading[tuple[ProvisioningEvent, ...]]:
    """Return the events in *output*: ``wevtutil`` prints one document after the other, without a root."""
    found = []
    for part in output.split(_END, MAX_EVENTS)[:-1][:MAX_EVENTS]:
        begin = _BEGIN.search(part)
        if begin is None:
            return Unknown("malformed", f"{CHANNEL}: an event ends that did not begin")
        try:
            found.append(_event(part[begin.start() :] + _END))
        except (MalformedAnswer, UnexpectedAnswer, ValueError) as error:
            return Unknown("malformed", f"an event of {CHANNEL}: {error}")
    if not found and output.strip().startswith("<"):
        return Unknown("malformed", f"{CHANNEL}: what wevtutil printed has no whole event")
    return Known(tuple(found))


def _event(text: str) -> ProvisioningEvent:
    root = parse(text.encode("utf-8", "replace"))
    system = child(root, "System")
    number = child(system, "EventID") if system is not None else None
    digits = (number.text or "").strip() if number is not None else ""
    if system is None or not re.fullmatch("[0-9]{1,5}", digits):
        raise UnexpectedAnswer("it has no EventID")
    made = child(system, "TimeCreated")
    data = list[tuple[str, str]]()
    for part in ("EventData", "UserData"):
        holder = child(root, part)
        for each in list(holder.iter())[1 : _MAX_DATA + 1] if holder is not None else []:
            if len(each) == 0:
                name = each.get("Name") or (local_name(each) if part == "UserData" else str(len(data)))
                data.append((shortened(name, 60), shortened(each.text or "")))
    return ProvisioningEvent(int(digits), _time(made.get("SystemTime", "") if made is not None else ""), tuple(data))


def _time(text: str) -> datetime | None:
    try:
        time = read_moment(text)
        return time.astimezone(timezone.utc) if isinstance(time, datetime) else None
    except (UnexpectedAnswer, OverflowError):
        return None
