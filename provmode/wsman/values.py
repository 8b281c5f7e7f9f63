"""CIM values as XML, both ways.

Scalars arrive as text because WS-Man transfers no types. The caller knows the type of a property and asks for it
(`text`, `integer`, `boolean`, `moment`, `strings`, `integers`). Sources: DSP0230 section 9 (properties, arrays,
nil, references), MS-WSMV 3.1.4.1.26 (arrays), recorded answers of Windows Server 2003 to 2012 (dates, nil, order).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from xml.etree.ElementTree import Element

from provmode.wsman import uris
from provmode.wsman.errors import UnexpectedAnswer
from provmode.wsman.operations import Instance, Reference, Resource, Value
from provmode.wsman.xml import child, escape, local_name, namespace

_NIL = f"{{{uris.XSI}}}nil"
_TYPE = f"{{{uris.XSI}}}type"

# -- writing --------------------------------------------------------------------------------------------------


def wire_text(value: Value) -> str:
    """Return the text of a scalar on the wire: ``true``, ``42``, ISO 8601 for times and intervals.

    Raises:
        ValueError: *value* is not a scalar, or is a time without an offset.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, str)):
        return str(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"the time {value} has no offset")
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return format_interval(value)
    raise ValueError(f"not a scalar: {type(value).__name__}")


def format_interval(value: timedelta) -> str:
    """Return *value* as ``xs:duration``: ``P1DT2H3M4.000005S``."""
    sign, value = ("-", -value) if value < timedelta(0) else ("", value)
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{value.microseconds:06d}" if value.microseconds else ""
    return f"{sign}P{value.days}DT{hours}H{minutes}M{seconds}{fraction}S"


def write_property(name: str, value: Value, prefix: str = "p") -> str:
    """Return a property or parameter as an element; an array as one element per item, an empty array as nil.

    Raises:
        ValueError: a text that XML cannot represent, or an invalid name.
    """
    tag = f"{prefix}:{checked_name(name)}"
    if isinstance(value, tuple):
        if not value:
            return f'<{tag} xsi:nil="true"/>'
        return "".join(write_property(name, item, prefix) for item in value)
    if value is None:
        return f'<{tag} xsi:nil="true"/>'
    return f"<{tag}>{_content(value)}</{tag}>"


def _content(value: Value) -> str:
    if isinstance(value, datetime):
        return f"<cim:Datetime>{wire_text(value)}</cim:Datetime>"
    if isinstance(value, timedelta):
        return f"<cim:Interval>{wire_text(value)}</cim:Interval>"
    if isinstance(value, Reference):
        # a reference parameter contains address and parameters directly (DSP0230 section 9.2.4, as Windows prints it)
        return f"<a:Address>{uris.ANONYMOUS}</a:Address>{_reference_parameters(value.resource)}"
    if isinstance(value, Instance):
        return write_object(value, "o")
    return escape(wire_text(value))


def write_object(instance: Instance, prefix: str = "p") -> str:
    """Return an object as an element in the namespace of its class."""
    inner = "".join(write_property(name, value, prefix) for name, value in instance.properties.items())
    tag = f"{prefix}:{checked_name(instance.class_name)}"
    return f'<{tag} xmlns:{prefix}="{escape(instance.uri)}">{inner}</{tag}>'


def write_selectors(resource: Resource) -> str:
    """Return the ``SelectorSet`` of *resource*; empty if it has no selectors. DSP0226 section 5.4.2."""
    if not resource.selectors:
        return ""
    inner = "".join(
        f'<w:Selector Name="{escape(name)}">{escape(value)}</w:Selector>' for name, value in resource.selectors
    )
    return f"<w:SelectorSet>{inner}</w:SelectorSet>"


def _reference_parameters(resource: Resource) -> str:
    return (
        f"<a:ReferenceParameters><w:ResourceURI>{escape(resource.uri)}</w:ResourceURI>"
        f"{write_selectors(resource)}</a:ReferenceParameters>"
    )


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def checked_name(name: str) -> str:
    """Return *name* if it can be part of an element's name.

    Raises:
        ValueError: *name* is not such a name.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name of a CIM class, property, method or parameter")
    return name


# -- reading --------------------------------------------------------------------------------------------------


def read_object(element: Element) -> Instance:
    """Return the object in *element*: an instance, an ``_OUTPUT``, or the row of a projection.

    A ``cim:Location`` (an endpoint reference inside objects, see MS-WSMV 4.1.1) is not a property and is left out. A
    time or an interval that says less than one (only a date, only a time of day, no offset, ``*`` for digits) stays
    text, and a reference that leads nowhere stays an object: whoever asks for such a property by its type is told, and
    every other property is read.
    """
    groups: dict[str, list[Element]] = {}
    for item in element:
        if namespace(item) != uris.CIM_COMMON:
            groups.setdefault(local_name(item), []).append(item)
    properties: dict[str, Value] = {}
    for name, items in groups.items():
        if len(items) == 1:
            properties[name] = _read_value(items[0])
        else:
            properties[name] = tuple(_read_value(item) for item in items)
    return Instance(local_name(element), properties, namespace(element))


def _read_value(element: Element) -> Value:
    if element.get(_NIL) in ("true", "1"):
        return None
    if len(element) == 0:
        return element.text or ""
    inner = element[0]
    name = local_name(inner)
    if len(element) == 1:
        if name in ("Datetime", "Date", "Time"):
            return _or_text(read_moment, inner.text or "")
        if name == "Interval":
            return _or_text(read_interval, inner.text or "")
        if name == "CIM_DateTime":
            return _read_value(inner)
    if name == "EndpointReference" or child(element, "ReferenceParameters") is not None:
        reference = inner if name == "EndpointReference" else element
        try:
            return Reference(read_endpoint(reference))
        except UnexpectedAnswer:
            return read_object(reference)
    if element.get(_TYPE) is None and len(element) == 1 and len(inner):
        return read_object(inner)  # an embedded object in an element of its own
    return read_object(element)


def _or_text(read: Callable[[str], datetime | timedelta], text: str) -> Value:
    """Return what *read* makes of *text*, or the text itself if it is no such value."""
    try:
        return read(text)
    except UnexpectedAnswer:
        return text


def read_endpoint(element: Element) -> Resource:
    """Return the resource of an endpoint reference (its address is always the anonymous one).

    Raises:
        UnexpectedAnswer: the reference has no resource URI.
    """
    parameters = child(element, "ReferenceParameters")
    uri = child(parameters, "ResourceURI") if parameters is not None else None
    name = (uri.text or "").strip() if uri is not None else ""
    if parameters is None or not name:
        raise UnexpectedAnswer("the endpoint reference has no ResourceURI")
    selectors = child(parameters, "SelectorSet")
    pairs = tuple((item.get("Name", ""), item.text or "") for item in selectors) if selectors is not None else ()
    return Resource(name, pairs)


_XS_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)",
)
_DMTF_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)\.(\d{6})([+-]\d{3})")
_DMTF_INTERVAL = re.compile(r"(\d{8})(\d\d)(\d\d)(\d\d)\.(\d{6}):000")
_XS_DURATION = re.compile(
    r"(-)?P(?=.)(?:(\d{1,7})Y)?(?:(\d{1,7})M)?(?:(\d{1,9})D)?"
    r"(?:T(?=.)(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})(?:\.(\d{1,9}))?S)?)?",
)


def read_moment(text: str) -> datetime | timedelta:
    """Return the time in *text* with its time zone: ``xs:dateTime`` or DMTF's ``yyyymmddHHMMSS.mmmmmm+UUU``.

    A time without an offset is refused: it does not say which moment it is. (Recorded answers of Windows always have
    ``Z``.) A DMTF interval comes back as ``timedelta``. Source: DSP0004 (datetime), XML Schema part 2.

    Raises:
        UnexpectedAnswer: *text* has none of these forms.
    """
    text = text.strip()
    try:
        if match := _XS_TIME.fullmatch(text):
            *date, fraction, offset = match.groups()
            return _moment(date, _micros(fraction), _offset(offset))
        if match := _DMTF_TIME.fullmatch(text):
            *date, micros, minutes = match.groups()
            return _moment(date, int(micros), timezone(timedelta(minutes=int(minutes))))
    except ValueError:
        raise UnexpectedAnswer(f"not a time: {text[:60]!r}") from None
    if _DMTF_INTERVAL.fullmatch(text):
        return read_interval(text)
    raise UnexpectedAnswer(f"not a time: {text[:60]!r}")


def read_interval(text: str) -> timedelta:
    """Return the interval in *text*: ``xs:duration`` without years and months, or DMTF's ``dddddddd...:000``.

    Raises:
        UnexpectedAnswer: *text* has neither form, or its length depends on the calendar.
    """
    text = text.strip()
    try:
        if match := _DMTF_INTERVAL.fullmatch(text):
            days, hours, minutes, seconds, micros = map(int, match.groups())
            return timedelta(days, seconds, micros, minutes=minutes, hours=hours)
        if match := _XS_DURATION.fullmatch(text):
            sign, years, months, days_, hours_, minutes_, seconds_, fraction = match.groups()
            if int(years or 0) or int(months or 0):
                raise UnexpectedAnswer(f"an interval with years or months has no fixed length: {text[:60]!r}")
            length = timedelta(int(days_ or 0), int(seconds_ or 0), _micros(fraction))
            length += timedelta(hours=int(hours_ or 0), minutes=int(minutes_ or 0))
            return -length if sign else length
    except OverflowError:
        pass  # refused below, like any other text that is not an interval
    raise UnexpectedAnswer(f"not an interval: {text[:60]!r}")


def _moment(date: list[str], micros: int, zone: timezone) -> datetime:
    year, month, day, hour, minute, second = map(int, date)
    return datetime(year, month, day, hour, minute, second, micros, zone)


def _micros(fraction: str | None) -> int:
    return int((fraction or "0")[:6].ljust(6, "0"))


def _offset(offset: str) -> timezone:
    if offset == "Z":
        return timezone.utc
    minutes = int(offset[1:3]) * 60 + int(offset[4:])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))


# -- typed access -----------------------------------------------------------------------------------------------


def _lookup(instance: Instance, name: str) -> Value:
    if name in instance.properties:
        return instance.properties[name]
    lowered = name.lower()
    return next((value for key, value in instance.properties.items() if key.lower() == lowered), None)


def text(instance: Instance, name: str) -> str | None:
    """Return a string property; ``None`` if it is nil or missing. Names compare without regard to case.

    Raises:
        UnexpectedAnswer: the property is an array, an object or a time.
    """
    value = _lookup(instance, name)
    if value is None or isinstance(value, str):
        return value
    raise _unexpected(instance, name, "text", value)


def integer(instance: Instance, name: str) -> int | None:
    """Return an integer property of any width, decimal or ``0x`` hexadecimal; ``None`` if it is nil or missing.

    Raises:
        UnexpectedAnswer: the property is not an integer.
    """
    return _integer(instance, name, text(instance, name))


def _integer(instance: Instance, name: str, value: str | None) -> int | None:
    if value is None or not value.strip():
        return None
    stripped = value.strip()
    if not re.fullmatch(r"[+-]?[0-9]{1,20}|0[xX][0-9a-fA-F]{1,16}", stripped):
        raise _unexpected(instance, name, "an integer", value)
    return int(stripped, 16 if stripped[:2] in ("0x", "0X") else 10)


def boolean(instance: Instance, name: str) -> bool | None:
    """Return a boolean property; ``None`` if it is nil or missing.

    Raises:
        UnexpectedAnswer: the property is not a boolean.
    """
    value = text(instance, name)
    if value is None or not value.strip():
        return None
    lowered = value.strip().lower()
    if lowered in ("true", "1"):
        return True
    if lowered in ("false", "0"):
        return False
    raise _unexpected(instance, name, "a boolean", value)


def moment(instance: Instance, name: str) -> datetime | None:
    """Return a datetime property with its time zone; ``None`` if it is nil or missing.

    Raises:
        UnexpectedAnswer: the property is not a time.
    """
    value = _lookup(instance, name)
    if isinstance(value, str):  # some classes have DMTF text in a string property
        value = read_moment(value) if value.strip() else None
    if value is None or isinstance(value, datetime):
        return value
    raise _unexpected(instance, name, "a time", value)


def strings(instance: Instance, name: str) -> tuple[str, ...]:
    """Return an array of strings; empty if it is nil or missing. One element looks like a scalar on the wire.

    Raises:
        UnexpectedAnswer: an element is not text.
    """
    value = _lookup(instance, name)
    items: Iterable[Value] = () if value is None else value if isinstance(value, tuple) else (value,)
    found = []
    for item in items:
        if not isinstance(item, str):
            raise _unexpected(instance, name, "an array of text", item)
        found.append(item)
    return tuple(found)


def integers(instance: Instance, name: str) -> tuple[int, ...]:
    """Return an array of integers; empty if it is nil or missing.

    Raises:
        UnexpectedAnswer: an element is not an integer.
    """
    found = []
    for item in strings(instance, name):
        number = _integer(instance, name, item)
        if number is None:
            raise _unexpected(instance, name, "an array of integers", item)
        found.append(number)
    return tuple(found)


def _unexpected(instance: Instance, name: str, expected: str, value: Value) -> UnexpectedAnswer:
    return UnexpectedAnswer(f"{instance.class_name}.{name}: expected {expected}, got {repr(value)[:60]}")
