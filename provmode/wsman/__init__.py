"""WS-Management without a socket: typed operations to bytes, bytes to typed answers.

* `operations`  what can be asked
* `exchange`    operations as exchanges of messages (generators)
* `messages`    one message: encode, decode
* `values`      CIM values as XML, both ways
* `faults`      what a PC says when it cannot
* `xml`         hostile input in, escaped output out
* `uris`, `codes`  the constants, with their sections

Imports the standard library only.
"""

from provmode.wsman.errors import MalformedAnswer, UnexpectedAnswer
from provmode.wsman.exchange import Identity, exchange_for
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
    "encode",
    "exchange_for",
    "integer",
    "integers",
    "moment",
    "strings",
    "text",
    "wire_text",
]
