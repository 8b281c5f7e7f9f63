"""What pyinfra sees of provmode: the connector ``@winrm``, its commands, and the data of a host."""

from provmode.connector.winrm import LAST_ERROR, WinRMConnector

__all__ = ["LAST_ERROR", "WinRMConnector"]
