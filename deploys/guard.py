"""Guard PCs before an in-place upgrade, and remove the guard afterwards.

``pyinfra INVENTORY deploys/guard.py`` sets the guard; with ``--data provmode_guard=false`` it removes the guard.
"""

from __future__ import annotations

from pyinfra import host, state
from pyinfra.api import DeployError, deploy
from pyinfra.context import ctx_state

from operations import client


def _present(wanted: object) -> bool:
    """Return ``provmode_guard`` as a boolean.

    Raises:
        DeployError: it is neither True nor False; provmode does not guess about a guard.
    """
    if not isinstance(wanted, bool):
        raise DeployError(f"provmode_guard is {wanted!r}, neither true nor false")
    return wanted


@deploy("Guard against a dead upgrade")
def guard(present: bool = True) -> None:
    """Make the PC leave provisioning mode at the next logon if the upgrade dies; *present* False removes the guard."""
    client.exit_guard(name="Exit guard" if present else "No exit guard", present=present)


if ctx_state.isset() and getattr(state, "current_exec_filename", None) == __file__:
    guard(present=_present(host.data.get("provmode_guard", True)))
