"""What pyinfra sees of provmode.

* `winrm`          the connector ``@winrm``
* `commands`       the commands that facts and operations hand to it
* `host_data`      the ``winrm_*`` keys of an inventory, and the target they add up to
* `mistakes`       mistakes in those values that can be seen before anything is sent
* `host_names`     names of PCs that could be taken for other names
* `sources/`       connectors that find hosts: ``@csv``, ``@list``, ``@ad``
* `session_lease`  the lease on one PC, held through a session
* `run_lease`      which operations of a pyinfra run share it, and when it is released
* `not_heeded`     what a configuration file says that pyinfra's runs do not heed
* `undisturbed`    Ctrl-C in a pyinfra run, and the steps that it must not end in the middle

Private: programs import from `provmode.api`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from provmode.connector.sources.connectors import AdConnector, CsvConnector, ListConnector
    from provmode.connector.winrm import WinRMConnector

__all__ = ["AdConnector", "CsvConnector", "ListConnector", "WinRMConnector"]


def __getattr__(name: str) -> Any:
    """Load a connector for pyinfra's entry points, such as ``provmode.connector:WinRMConnector``.

    Not before: facts import `commands` from here, and must not load what can change a PC.
    """
    if name == "WinRMConnector":
        from provmode.connector.winrm import WinRMConnector

        return WinRMConnector
    if name in ("AdConnector", "CsvConnector", "ListConnector"):
        from provmode.connector.sources import connectors

        return getattr(connectors, name)
    raise AttributeError(name)
