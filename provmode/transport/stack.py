"""Which code speaks HTTP to a PC: the one place that chooses."""

from __future__ import annotations

from collections.abc import Callable

from provmode.transport.base import Connection
from provmode.transport.target import Counters, Target, check_stack

LEAN = frozenset({"ntlm", "kerberos", "credssp"})
"""The authentications that `provmode.transport.lean` speaks."""


def connection(target: Target, *, counters: Counters, seconds: Callable[[], float]) -> Connection:
    """Return a connection to *target*, not yet dialled: a `provmode.transport.base.Connect`.

    Raises:
        UsageError: the target's credentials would expose a secret or cannot work.
    """
    check_stack(target.endpoint.name, target.stack, target.credentials.authentication)
    if target.stack == "lean" and target.credentials.authentication in LEAN:
        from provmode.transport.lean import LeanConnection

        return LeanConnection(target, counters=counters, seconds=seconds)
    from provmode.transport.pywinrm import PywinrmConnection

    return PywinrmConnection(target, counters=counters, seconds=seconds)
