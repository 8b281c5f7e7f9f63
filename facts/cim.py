"""Facts by WQL: any object in the CIM repository of a PC."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from facts.base import ReadingFact
from provmode.connector.commands import ConversationCommand
from provmode.errors import AccessDenied, RemoteFault
from provmode.reading import Absent, Known, plain
from provmode.windows.conversation import Conversation, could_not_tell
from provmode.wsman import Enumerate


class Query(ReadingFact[list[dict[str, Any]]]):
    """
    Return the objects that a WQL query finds.

    + wql: such as ``SELECT Name,State FROM Win32_Service WHERE StartMode='Auto'``
    + namespace: the WMI namespace, ``root/cimv2`` by default

    .. code:: python

        Known([{"Name": "CcmExec", "State": "Running"}])    # [] if nothing matches
        Absent()                                            # no such class or namespace on this PC
        Unknown("access-denied", "...")

    Values are text or ``None``: WS-Man transfers no types. Times are ISO 8601 with their offset, arrays are lists.
    """

    @override
    def command(self, wql: str, namespace: str = "root/cimv2") -> ConversationCommand:
        query = Enumerate.query(namespace, wql)
        return self.converse(lambda: _objects(query), query)


def _objects(query: Enumerate) -> Conversation[Any]:
    try:
        objects = yield query
    except RemoteFault as fault:
        return Absent() if fault.kind == "not-found" else could_not_tell(fault)
    except AccessDenied as denied:
        return could_not_tell(denied)
    return Known(plain(objects))
