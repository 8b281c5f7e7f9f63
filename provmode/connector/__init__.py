"""What pyinfra sees of provmode.

* `winrm`          the connector ``@winrm``
* `commands`       the commands that facts and operations hand to it
* `host_data`      the ``winrm_*`` keys of an inventory, and the target they add up to
* `mistakes`       mistakes in those values that can be seen before anything is sent
* `session_lease`  the lease on one PC, held through a session
* `run_lease`      which operations of a pyinfra run share it, and when it is released
* `undisturbed`    Ctrl-C in a pyinfra run, and the steps that it must not end in the middle

Private: programs import from `provmode.api`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from provmode.connector.winrm import WinRMConnector

__all__ = ["WinRMConnector"]


def __getattr__(name: str) -> Any:
    """Load the connector for pyinfra's entry point ``provmode.connector:WinRMConnector``.

    Not before: facts import `commands` from here, and must not load what can change a PC.
    """
    if name == "WinRMConnector":
        from provmode.connector.winrm import WinRMConnector

        return WinRMConnector
    raise AttributeError(name)
