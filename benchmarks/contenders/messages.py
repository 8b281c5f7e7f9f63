"""A file of the SOAP messages that provmode sends to each host: recorded once, sent again by the bare loop."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

MESSAGE, SHELL, COMMAND = b"@MESSAGE-ID@", b"@SHELL-ID-%d@", b"@COMMAND-ID-%d@"
"""Placeholders for ids that are new in every run: the sender's own, and two numbered kinds that the PC makes."""
CONNECT = b"@CONNECT@"
"""Not a message: from here on provmode used another connection and authenticated again."""

SHELL_ID = re.compile(rb'Name="ShellId"[^>]*>([^<]+)<')
COMMAND_ID = re.compile(rb"CommandId>([^<]+)</")
_MESSAGE_ID = re.compile(rb"(<a:MessageID>)[^<]+(</a:MessageID>)")


def with_placeholders(exchanged: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """Return the messages of one host's (message, answer) pairs, with placeholders instead of ids."""
    messages = []
    known: dict[bytes, bytes] = {}
    for message, answer in exchanged:
        for identity, placeholder in known.items():
            message = message.replace(identity, placeholder)
        messages.append(_MESSAGE_ID.sub(rb"\g<1>" + MESSAGE + rb"\g<2>", message))
        learn(answer, known)
    return messages


def learn(answer: bytes, known: dict[bytes, bytes]) -> None:
    """Add the new ids in *answer* to *known* (id to placeholder)."""
    for pattern, placeholder in ((SHELL_ID, SHELL), (COMMAND_ID, COMMAND)):
        match = pattern.search(answer)
        if match is not None and match[1] not in known:
            number = sum(each.startswith(placeholder[:6]) for each in known.values())
            known[match[1]] = placeholder % number


def write(path: Path, messages: Mapping[str, Sequence[bytes]]) -> None:
    """Write the messages of every host to *path*."""
    path.write_text(json.dumps({host: [each.decode() for each in sent] for host, sent in messages.items()}))


def read(path: Path) -> dict[str, list[bytes]]:
    """Read the file that `write` made."""
    return {host: [each.encode() for each in sent] for host, sent in json.loads(path.read_text()).items()}
