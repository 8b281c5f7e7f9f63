"""The SOAP messages that provmode sends to each host, as a file: recorded once, sent again by the bare loop."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

MESSAGE, SHELL, COMMAND = b"@MESSAGE-ID@", b"@SHELL-ID-%d@", b"@COMMAND-ID-%d@"
"""Where ids stood that are new in every run: the sender's own, and two kinds that the PC gives, counted."""
CONNECT = b"@CONNECT@"
"""No message: from here on another connection was used, with an authentication of its own."""

SHELL_ID = re.compile(rb'Name="ShellId"[^>]*>([^<]+)<')
COMMAND_ID = re.compile(rb"CommandId>([^<]+)</")
_MESSAGE_ID = re.compile(rb"(<a:MessageID>)[^<]+(</a:MessageID>)")


def with_places(exchanged: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """Return the messages of one host's (message, answer) pairs with places where ids were."""
    messages = []
    known: dict[bytes, bytes] = {}
    for message, answer in exchanged:
        for identity, place in known.items():
            message = message.replace(identity, place)
        messages.append(_MESSAGE_ID.sub(rb"\g<1>" + MESSAGE + rb"\g<2>", message))
        learn(answer, known)
    return messages


def learn(answer: bytes, known: dict[bytes, bytes]) -> None:
    """Add to *known* (id to place) the ids that *answer* gives for the first time."""
    for pattern, place in ((SHELL_ID, SHELL), (COMMAND_ID, COMMAND)):
        given = pattern.search(answer)
        if given is not None and given[1] not in known:
            known[given[1]] = place % sum(each.startswith(place[:6]) for each in known.values())


def write(path: Path, messages: Mapping[str, Sequence[bytes]]) -> None:
    """Write the messages of every host to *path*."""
    path.write_text(json.dumps({host: [each.decode() for each in sent] for host, sent in messages.items()}))


def read(path: Path) -> dict[str, list[bytes]]:
    """Read what `write` wrote."""
    return {host: [each.encode() for each in sent] for host, sent in json.loads(path.read_text()).items()}
