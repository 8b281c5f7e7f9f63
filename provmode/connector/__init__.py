"""What pyinfra sees of provmode: the connector ``@winrm``, its commands, and the data of a host."""

from provmode.connector.winrm import WinRMConnector

__all__ = ["WinRMConnector"]
