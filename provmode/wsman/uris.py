"""Namespaces, actions and other URIs of WS-Management, each with the section that defines it.

MS-WSMV is Microsoft's "Web Services Management Protocol Extensions for Windows Vista"; DSP0226, DSP0227 and DSP0230
are DMTF's WS-Management, its CIM binding and the mapping of CIM to XML.
"""

from __future__ import annotations

# Namespaces: MS-WSMV 2.2.1
SOAP = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
WSMAN = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
WSMV = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
ENUMERATION = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
WSMAN_FAULT = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
CIM_COMMON = "http://schemas.dmtf.org/wbem/wscim/1/common"  # DSP0230 section 6
IDENTITY = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"  # DSP0226 section 11
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XML = "http://www.w3.org/XML/1998/namespace"

ANONYMOUS = f"{ADDRESSING}/role/anonymous"  # MS-WSMV 3.1.4.1.3: the only ReplyTo that Windows accepts

# Actions
GET = f"{TRANSFER}/Get"  # MS-WSMV 3.1.4.2
PUT = f"{TRANSFER}/Put"  # MS-WSMV 3.1.4.3
DELETE = f"{TRANSFER}/Delete"  # MS-WSMV 3.1.4.4
CREATE = f"{TRANSFER}/Create"  # MS-WSMV 3.1.4.5
ENUMERATE = f"{ENUMERATION}/Enumerate"  # MS-WSMV 3.1.4.8
PULL = f"{ENUMERATION}/Pull"  # MS-WSMV 3.1.4.9
RELEASE = f"{ENUMERATION}/Release"  # MS-WSMV 3.1.4.10
COMMAND = f"{SHELL}/Command"  # MS-WSMV 3.1.4.11
SIGNAL = f"{SHELL}/Signal"  # MS-WSMV 3.1.4.12
SEND = f"{SHELL}/Send"  # MS-WSMV 3.1.4.13
RECEIVE = f"{SHELL}/Receive"  # MS-WSMV 3.1.4.14

WQL = "http://schemas.microsoft.com/wbem/wsman/1/WQL"
"""Filter dialect of WQL queries. MS-WSMV 3.1.4.1.13."""

CMD_SHELL = f"{SHELL}/cmd"
"""Resource URI of the command shell. MS-WSMV 3.1.4.5.2."""

TERMINATE = f"{SHELL}/signal/terminate"
"""Signal code that ends a command. MS-WSMV 2.2.5.6."""

COMMAND_DONE = f"{SHELL}/CommandState/Done"
"""State of a command that ended. MS-WSMV 2.2.5.4."""
