"""WS-Management without a socket: operations to bytes, bytes to answers. Pure, and the standard library only.

* `operations`     the operations: what can be asked of a PC
* `notation`       operations as text, in the grammar of Windows' ``winrm`` tool
* `exchange`       operations as exchanges of messages (generators)
* `messages`       one message: encode, decode
* `values`         CIM values as XML, both ways
* `faults`         faults: what a PC answers if it cannot or will not
* `errors`         what can be wrong with an answer that is not a fault
* `xml`            hostile XML in, escaped XML out
* `uris`, `codes`  the constants, with their sections

Private: programs import from `provmode.api`.
"""

from provmode.wsman.errors import MalformedAnswer, UnexpectedAnswer
from provmode.wsman.exchange import Identity, OpenShell, delete_shell, exchange_for
from provmode.wsman.faults import Fault, FaultKind
from provmode.wsman.messages import Request, Response, decode, encode
from provmode.wsman.operations import (
    CommandLine,
    Completed,
    Enumerate,
    Get,
    Identify,
    Instance,
    Invoke,
    Operation,
    Put,
    Reference,
    Resource,
    Value,
)
from provmode.wsman.values import boolean, integer, integers, moment, strings, text, wire_text

__all__ = [
    "CommandLine",
    "Completed",
    "Enumerate",
    "Fault",
    "FaultKind",
    "Get",
    "Identify",
    "Identity",
    "Instance",
    "Invoke",
    "MalformedAnswer",
    "OpenShell",
    "Operation",
    "Put",
    "Reference",
    "Request",
    "Resource",
    "Response",
    "UnexpectedAnswer",
    "Value",
    "boolean",
    "decode",
    "delete_shell",
    "encode",
    "exchange_for",
    "integer",
    "integers",
    "moment",
    "strings",
    "text",
    "wire_text",
]
