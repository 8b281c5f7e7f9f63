"""What can be wrong with an answer that is not a fault (for faults see `provmode.wsman.faults`).

* MalformedAnswer (ValueError)    not well-formed XML, not an envelope, or hostile (entities, size, depth)
* UnexpectedAnswer (ValueError)   well-formed, but not an answer to the question
"""

from __future__ import annotations


class MalformedAnswer(ValueError):
    """The bytes are not an acceptable SOAP envelope: broken, too large, too deep, or with a document type."""


class UnexpectedAnswer(ValueError):
    """The envelope is sound but does not answer the question; the message names what was expected and what came."""
