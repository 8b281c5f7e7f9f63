"""What pyinfra sees of provmode.

* `winrm`      the connector ``@winrm``
* `commands`   the commands that facts and operations give the connector
* `host_data`  the ``winrm_*`` keys of an inventory, and the target made from them

Private: programs import from `provmode.api`.
"""

from provmode.connector.winrm import LAST_ERROR, WinRMConnector

__all__ = ["LAST_ERROR", "WinRMConnector"]
