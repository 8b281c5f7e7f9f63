"""HTTP/1.1 answers, read from bytes as they come (RFC 9112). Pure: bytes in, one answer out.

It is strict, because what answers may be hostile, and two readers who take the same bytes for different answers are
how one gets past the other. Refused are: a length that is not one plain number, a length beside a transfer coding, any
coding but ``chunked``, a head with anything that RFC 9112 does not allow (folded lines, bare line breaks, blanks before
a colon), a change of protocol, and bytes after the answer, for a request has one answer.

Head, body and everything before the answer (``100 Continue``) are bounded together.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

MAX_ANSWER = 8 * 1024 * 1024
"""Maximum size of one HTTP answer, in bytes. Windows' own MaxEnvelopeSizekb is 500 (2012 and later); sealing adds
under 1 %."""
MAX_HEAD = 64 * 1024
"""Maximum size of the head of an answer, and of what may follow a chunked body."""
SHORT = 100
"""Bytes of a header line that is kept to be recognized again: never a token of an authentication."""
MAX_CHUNK_LINE = 256
"""Maximum size of the line before a chunk; its extensions are not read."""

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_BEGINNING = b"HTTP/1."
_WAIT = None
"""The part is not whole yet."""


class NotHttp(ValueError):
    """What was received is not one answer of HTTP/1.1; the text says why. Nothing of it may be used."""


class TooLarge(ValueError):
    """The answer is larger than it may be."""


class CutOff(ValueError):
    """The stream ended before the answer did. *begun*: whether anything had come."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__("the stream ended before the answer did")
        self.begun = begun


@dataclass(frozen=True)
class Answer:
    """One answer."""

    status: int
    """200 to 599; what comes before the answer (100 to 199) is left out."""
    fields: dict[bytes, bytes]
    """The header fields by their lower-case names; those that came several times are joined by commas."""
    body: bytes
    last: bool
    """Whether the server closes the connection after it."""

    def field(self, name: str) -> str:
        """Return a header field; empty if there is none."""
        return self.fields.get(name.lower().encode("ascii"), b"").decode("latin-1")


class AnswerReader:
    """Reads the answer to one request: `feed` it what was received until it returns the answer.

    *most* bounds all that is read for it, in bytes.
    """

    def __init__(self, most: int = MAX_ANSWER) -> None:
        self._most = most
        self._received = 0
        self._waiting = bytearray()
        self._body: list[bytes] = []
        self._missing = 0
        self._read = AnswerReader._head
        """Reads the next part: true if the answer is whole, false if the next part can be read, or `_WAIT`.

        It is a function of the class: a method of this object would keep the object, until Python looks for garbage.
        """
        self._status = 0
        self._fields: dict[bytes, bytes] = {}
        self._last = False

    def feed(self, data: bytes) -> Answer | None:
        """Take what was received; empty: the stream has ended. Return the answer once it is whole.

        Raises:
            NotHttp: it is not one answer of HTTP/1.1.
            TooLarge: it is larger than it may be.
            CutOff: the stream ended before it was whole.
        """
        if not data:
            return self._ended()
        self._received += len(data)
        self._waiting += data
        if self._received > self._most:
            raise TooLarge(f"over {self._most} bytes")
        while not (done := self._read(self)):
            if done is _WAIT:
                return None
        if self._waiting:
            raise NotHttp("more than one answer to one request")
        return self._answer()

    def _ended(self) -> Answer:
        if self._read is AnswerReader._until_the_end:
            return self._answer()
        raise CutOff(begun=self._received > 0)

    def _head(self) -> bool | None:
        waiting = self._waiting
        if not _BEGINNING.startswith(waiting[: len(_BEGINNING)]):
            raise NotHttp("it does not begin as HTTP/1.1 does")
        end = waiting.find(b"\r\n\r\n", 0, MAX_HEAD)
        if end < 0:
            if len(waiting) >= MAX_HEAD:
                raise NotHttp(f"a head of over {MAX_HEAD} bytes")
            return _WAIT
        head = bytes(waiting[:end])
        del waiting[: end + 4]
        first, *lines = head.split(b"\r\n")
        status = _STATUS.fullmatch(first)
        if status is None:
            raise NotHttp("a status line that is none")
        self._status, self._fields = int(status[2]), _fields_of(lines)
        if self._status == 101:
            raise NotHttp("a change of protocol that nobody asked for")
        if self._status < 200:  # 100 Continue and the like: the answer follows
            return False
        connection = self._fields.get(b"connection", b"").lower()
        self._last = b"close" in connection or (status[1] == b"0" and b"keep-alive" not in connection)
        return self._begin_body()

    def _begin_body(self) -> bool:
        coding, length = self._fields.get(b"transfer-encoding"), self._fields.get(b"content-length")
        if coding is not None:
            if coding.lower() != b"chunked":
                raise NotHttp("a transfer coding other than chunked")
            if length is not None:
                raise NotHttp("a length beside a transfer coding")
            self._read = AnswerReader._chunk
            return False
        if self._status in (204, 304):
            return True
        if length is None:
            self._last, self._read = True, AnswerReader._until_the_end
            return False
        if _LENGTH.fullmatch(length) is None:
            raise NotHttp("a length that is not a number")
        self._missing = int(length)
        if self._missing > self._most:
            raise TooLarge(f"over {self._most} bytes")
        self._read = AnswerReader._counted
        return False

    def _counted(self) -> bool | None:
        return True if self._take() else _WAIT

    def _until_the_end(self) -> bool | None:
        self._body.append(bytes(self._waiting))
        self._waiting.clear()
        return _WAIT

    def _chunk(self) -> bool | None:
        """Read the line before a chunk."""
        line = self._line(MAX_CHUNK_LINE, "the line before a chunk")
        if line is None:
            return _WAIT
        size = _CHUNK.fullmatch(line)
        if size is None:
            raise NotHttp("a chunk without a size")
        self._missing = int(size[1], 16)
        self._read = AnswerReader._chunk_data if self._missing else AnswerReader._trailer
        return False

    def _chunk_data(self) -> bool | None:
        if not self._take() or len(self._waiting) < 2:
            return _WAIT
        if self._waiting[:2] != b"\r\n":
            raise NotHttp("a chunk longer than it says")
        del self._waiting[:2]
        self._read = AnswerReader._chunk
        return False

    def _trailer(self) -> bool | None:
        """Read a line after the last chunk; nothing is made of it."""
        line = self._line(MAX_HEAD, "a line after the last chunk")
        if line is None:
            return _WAIT
        if line:
            _fields_of([line])
        return not line

    def _line(self, most: int, what: str) -> bytes | None:
        """Take a line; ``None`` if it has not ended yet."""
        end = self._waiting.find(b"\r\n", 0, most)
        if end < 0:
            if len(self._waiting) >= most:
                raise NotHttp(f"{what} is over {most} bytes")
            return None
        line = bytes(self._waiting[:end])
        del self._waiting[: end + 2]
        return line

    def _take(self) -> bool:
        """Take what has come of the missing bytes of the body; return whether none is missing any more."""
        if self._missing:
            piece = bytes(self._waiting[: self._missing])
            del self._waiting[: len(piece)]
            self._body.append(piece)
            self._missing -= len(piece)
        return not self._missing

    def _answer(self) -> Answer:
        return Answer(self._status, self._fields, b"".join(self._body), self._last)


def _fields_of(lines: list[bytes]) -> dict[bytes, bytes]:
    """Return the header fields in *lines*, by lower-case names.

    Raises:
        NotHttp: a line is not a header field.
    """
    fields: dict[bytes, bytes] = {}
    for line in lines:
        name, value = _known_field(line) if len(line) <= SHORT else _field(line)
        fields[name] = fields[name] + b", " + value if name in fields else value
    return fields


def _field(line: bytes) -> tuple[bytes, bytes]:
    """Return a header field: its name in lower case, and its value.

    Raises:
        NotHttp: *line* is not a header field.
    """
    field = _FIELD.fullmatch(line)
    if field is None:
        raise NotHttp("a header line that is none")
    return field[1].lower(), field[2]


_known_field = functools.lru_cache(maxsize=256)(_field)
"""`_field` for lines that every answer has: a fleet of PCs says the same few thousands of times."""
