"""DER (X.690), the little of it that a signature needs. It is read strictly: there is one way to write a value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

INTEGER, OCTETS, NULL, OBJECT_ID, SEQUENCE, SET = 0x02, 0x04, 0x05, 0x06, 0x30, 0x31
UTC_TIME, GENERAL_TIME = 0x17, 0x18
MAX_CHILDREN = 256
"""Values within one value. Certificates and attributes are fewer."""


class Malformed(ValueError):
    """These bytes are not what they should be."""


@dataclass(frozen=True)
class Value:
    """A value: a stretch of *data*."""

    data: bytes
    tag: int
    start: int
    body_start: int
    end: int

    @property
    def body(self) -> bytes:
        """Its content, without tag and length."""
        return self.data[self.body_start : self.end]

    @property
    def whole(self) -> bytes:
        """Its bytes, with tag and length."""
        return self.data[self.start : self.end]

    def of(self, tag: int) -> Value:
        """Return itself if it has this tag.

        Raises:
            Malformed: it has another.
        """
        if self.tag != tag:
            raise Malformed(f"a value has the tag 0x{self.tag:02X} instead of 0x{tag:02X}")
        return self

    def children(self) -> list[Value]:
        """Return the values in it.

        Raises:
            Malformed: they do not fill it, or are too many.
        """
        found: list[Value] = []
        at = self.body_start
        while at < self.end:
            if len(found) == MAX_CHILDREN:
                raise Malformed(f"over {MAX_CHILDREN} values in one")
            found.append(value_at(self.data, at, self.end))
            at = found[-1].end
        return found

    def only(self, tag: int) -> Value:
        """Return the one value in it, which has this tag."""
        (found,) = count_of(self.children(), 1)
        return found.of(tag)

    def object_id(self) -> str:
        """Return it as an object identifier, in dotted numbers."""
        body = self.of(OBJECT_ID).body
        if not body or body[-1] & 128 or len(body) > 64:
            raise Malformed("a broken object identifier")
        numbers, number, begins = [], 0, True
        for each in body:
            if begins and each == 0x80:
                raise Malformed("a broken object identifier")
            number, begins = number << 7 | each & 127, not each & 128
            if begins:
                numbers.append(number)
                number = 0
        first = min(numbers[0] // 40, 2)
        return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))

    def time(self) -> datetime:
        """Return it as a time; of a fraction of a second, whole seconds."""
        found = _TIMES[self.tag].fullmatch(self.body) if self.tag in _TIMES else None
        if found is None:
            raise Malformed("a time that is none")
        year, *others = map(int, found.groups())
        if self.tag == UTC_TIME:
            year += 1900 if year >= 50 else 2000
        try:
            month, day, hour, minute, second = others
            return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
        except ValueError:
            raise Malformed("a time that is none") from None


_TIMES = {
    UTC_TIME: re.compile(rb"([0-9]{2})" * 6 + rb"Z"),
    GENERAL_TIME: re.compile(rb"([0-9]{4})" + rb"([0-9]{2})" * 5 + rb"(?:\.[0-9]{1,9})?Z"),
}


def filling(data: bytes) -> Value:
    """Return the value that *data* is, from its first byte to its last.

    Raises:
        Malformed: bytes follow it.
    """
    value = value_at(data, 0, len(data))
    if value.end != len(data):
        raise Malformed("bytes follow a value")
    return value


def count_of(values: list[Value], count: int) -> list[Value]:
    """Return *values* if there are *count* of them.

    Raises:
        Malformed: there are more or fewer.
    """
    if len(values) != count:
        raise Malformed(f"{len(values)} values instead of {count}")
    return values


def value_at(data: bytes, at: int, end: int) -> Value:
    """Return the value that begins at *at* and ends at *end* or before.

    Raises:
        Malformed: it goes on, has no definite length, or one that could be written shorter.
    """
    if at + 2 > end:
        raise Malformed("a value is cut off")
    tag, length, body = data[at], data[at + 1], at + 2
    if tag & 31 == 31:
        raise Malformed("a tag of several bytes")
    if length & 128:
        count = length & 127
        if not 0 < count <= 4 or body + count > end:
            raise Malformed("a length that cannot be")
        length = int.from_bytes(data[body : body + count], "big")
        if length < 128 or length < 1 << 8 * (count - 1):
            raise Malformed("a length that could be written shorter")
        body += count
    if body + length > end:
        raise Malformed("a value ends after what it is in")
    return Value(data, tag, at, body, body + length)
