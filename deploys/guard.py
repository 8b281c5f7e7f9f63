"""Guard PCs before an in-place upgrade, and take the guard away after.

``pyinfra INVENTORY deploys/guard.py`` sets it; with ``--data provmode_guard=false`` it is taken away.
"""

from __future__ import annotations

from pyinfra import host, state
from pyinfra.api import DeployError, deploy
from pyinfra.context import ctx_state

from operations import client


def _present(wanted: object) -> bool:
    """Return what ``provmode_guard`` says.

    Raises:
        DeployError: it is neither True nor False; a guard is nothing to guess about.
    """
    if not isinstance(wanted, bool):
        raise DeployError(f"provmode_guard is {wanted!r}, neither true nor false")
    return wanted


@deploy("Guard against a dead upgrade")
def guard(present: bool = True) -> None:
    """Have the PC leave provisioning mode at the next logon if the upgrade dies; *present* False takes that away."""
    client.exit_guard(name="Exit guard" if present else "No exit guard", present=present)


if ctx_state.isset() and getattr(state, "current_exec_filename", None) == __file__:
    guard(present=_present(host.data.get("provmode_guard", True)))
