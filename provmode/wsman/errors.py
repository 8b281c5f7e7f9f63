"""What can be wrong with an answer, other than that it is a fault (`provmode.wsman.faults`).

* MalformedAnswer (ValueError)    not well-formed XML, not an envelope, or hostile (entities, size, depth)
* UnexpectedAnswer (ValueError)   well-formed, and not what the question calls for
"""

from __future__ import annotations


class MalformedAnswer(ValueError):
    """The bytes are no SOAP envelope that may be read: broken, too large, too deep, or with a document type."""


class UnexpectedAnswer(ValueError):
    """The envelope is sound and does not answer what was asked; says what was expected and what came."""
