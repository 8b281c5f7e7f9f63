"""The names in an NTLM challenge: what the PC that answers calls itself, before anything is asked (MS-NLMP 2.2.1.2).

It is the server's word and nothing seals it. It tells a wrong PC from the right one, not an honest one from a liar.
"""

from __future__ import annotations

import struct

from provmode.windows.names import ComputerName

_CHALLENGE = b"NTLMSSP\0\2\0\0\0"
_TARGET_INFO = 40
"""Offset of TargetInfoFields: length, maximum length and offset of the pairs."""
_END, _NETBIOS_COMPUTER, _DNS_COMPUTER = 0, 1, 3
"""MsvAvEOL, MsvAvNbComputerName, MsvAvDnsComputerName (MS-NLMP 2.2.2.1)."""


def computer_in(token: bytes) -> ComputerName | None:
    """Return the computer's names in *token*, raw or inside SPNEGO; ``None`` if it has none or is not a challenge."""
    start = token.find(_CHALLENGE)
    if start < 0 or len(token) < start + _TARGET_INFO + 8:
        return None
    message = token[start:]
    length, offset = struct.unpack_from("<H2xI", message, _TARGET_INFO)
    pairs, position, found = message[offset : offset + length], 0, dict[int, str]()
    while position + 4 <= len(pairs):
        kind, size = struct.unpack_from("<HH", pairs, position)
        if kind == _END:
            break
        if kind in (_NETBIOS_COMPUTER, _DNS_COMPUTER):
            found[kind] = pairs[position + 4 : position + 4 + size].decode("utf-16-le", "replace")[:255].strip()
        position += 4 + size
    name = ComputerName(found.get(_NETBIOS_COMPUTER, ""), found.get(_DNS_COMPUTER, ""))
    return name if name.netbios or name.dns else None
