"""CIM objects in Windows' XML: objects written, parameters read (MS-WSMV 2.2.4, shapes as recorded).

* a whole object: ``<p:Class xsi:type="p:Class_Type">``, ``p`` bound to the class's own URI, properties in
  alphabetical order and in that namespace
* a projection (``SELECT a, b``): ``<w:XmlFragment>`` with properties without a namespace
* a method's answer: ``<p:Method_OUTPUT>`` without ``xsi:type``, ``ReturnValue`` last
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Union
from xml.etree.ElementTree import Element

from provmode.lab.machine import Instance, Reference, Value
from provmode.lab.server.envelope import ADDRESSING, ANONYMOUS, WSMAN
from provmode.lab.server.xmltree import escape, local, quote

XSI = "http://www.w3.org/2001/XMLSchema-instance"
CIM = "http://schemas.dmtf.org/wbem/wscim/1/common"
WMI = "http://schemas.microsoft.com/wbem/wsman/1/wmi"

Parameter = Union[None, str, Instance, Reference, list["Parameter"]]
"""A property or parameter from a client: text, nil, an object, a reference, or a list of them."""


def class_uri(namespace: str, class_name: str) -> str:
    """Return the resource URI of a class; *namespace* as ``root/cimv2``."""
    return f"{WMI}/{namespace}/{class_name}"


def write_object(instance: Instance, uri: str) -> str:
    """Return a whole object; *uri* is that of its own class."""
    name = instance.class_name
    return (
        f'<p:{name} xmlns:xsi="{XSI}" xmlns:p="{quote(uri)}" xmlns:cim="{CIM}" xsi:type="p:{name}_Type">'
        f"{_members(_alphabetical(instance.properties), 'p:', uri)}</p:{name}>"
    )


def write_fragment(properties: Mapping[str, Value]) -> str:
    """Return one row of a projection."""
    return (
        f'<w:XmlFragment xmlns:xsi="{XSI}" xmlns:w="{WSMAN}">'
        f"{_members(_alphabetical(properties), '', '')}</w:XmlFragment>"
    )


def write_output(method: str, uri: str, outputs: Mapping[str, Value]) -> str:
    """Return a method's answer: the out-parameters, then ``ReturnValue``."""
    ordered = sorted(outputs.items(), key=lambda item: (item[0] == "ReturnValue", item[0].lower()))
    return (
        f'<p:{method}_OUTPUT xmlns:xsi="{XSI}" xmlns:p="{quote(uri)}" xmlns:cim="{CIM}">'
        f"{_members(ordered, 'p:', uri)}</p:{method}_OUTPUT>"
    )


def write_reference(uri: str, keys: Mapping[str, Value]) -> str:
    """Return an ``a:EndpointReference`` to the instance with *keys*."""
    return f"<a:EndpointReference>{_reference_parts(uri, keys)}</a:EndpointReference>"


def _reference_parts(uri: str, keys: Mapping[str, Value]) -> str:
    """Return the address and reference parameters of an endpoint reference."""
    selectors = "".join(
        f'<w:Selector Name="{quote(name)}">{_selector_text(value)}</w:Selector>' for name, value in keys.items()
    )
    return (
        f"<a:Address>{ANONYMOUS}</a:Address><a:ReferenceParameters><w:ResourceURI>{escape(uri)}</w:ResourceURI>"
        f"<w:SelectorSet>{selectors}</w:SelectorSet></a:ReferenceParameters>"
    )


def _selector_text(value: Value) -> str:
    """Return a key's value as a selector contains it; a reference becomes a whole endpoint reference."""
    if isinstance(value, Reference):
        return write_reference(class_uri(value.namespace, value.class_name), value.keys)
    return escape(scalar_text(value))


def _alphabetical(properties: Mapping[str, Value]) -> list[tuple[str, Value]]:
    """Return the properties in the order Windows writes them."""
    return sorted(properties.items(), key=lambda item: item[0].lower())


def _members(properties: Iterable[tuple[str, Value]], prefix: str, uri: str) -> str:
    """Return the property elements. An array is a repeated element; an empty array is nil."""
    parts: list[str] = []
    for name, value in properties:
        if isinstance(value, (list, tuple)):
            parts += [_member(name, item, prefix, uri) for item in value] or [_member(name, None, prefix, uri)]
        else:
            parts.append(_member(name, value, prefix, uri))
    return "".join(parts)


def _member(name: str, value: Value, prefix: str, uri: str) -> str:
    """Return one property element."""
    if value is None:
        return f'<{prefix}{name} xsi:nil="true"/>'
    if isinstance(value, Instance):
        inner = class_uri(value.namespace, value.class_name) if value.namespace else uri
        members = _members(_alphabetical(value.properties), "e:", inner)
        return (
            f'<{prefix}{name} xmlns:e="{quote(inner)}" xsi:type="e:{value.class_name}_Type">{members}</{prefix}{name}>'
        )
    return f"<{prefix}{name}>{_content(value, prefix)}</{prefix}{name}>"


def _content(value: Value, prefix: str) -> str:
    """Return the content of a property element."""
    if isinstance(value, Reference):
        return _reference_parts(class_uri(value.namespace, value.class_name), value.keys)
    kind = "Datetime" if isinstance(value, dt.datetime) else "Interval" if isinstance(value, dt.timedelta) else ""
    if not kind:
        return escape(scalar_text(value))
    tag = f"cim:{kind}" if prefix else kind
    return f"<{tag}>{scalar_text(value)}</{tag}>"


def scalar_text(value: Value) -> str:
    """Return the text of a scalar: ``true``, decimals, xs:dateTime, xs:duration."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return datetime_text(value)
    if isinstance(value, dt.timedelta):
        return duration_text(value)
    return "" if value is None else str(value)


def datetime_text(moment: dt.datetime) -> str:
    """Return an xs:dateTime without trailing zeros in its fraction; ``Z`` for UTC."""
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    if moment.microsecond:
        text += f".{moment.microsecond:06d}".rstrip("0")
    offset = moment.utcoffset()
    if not offset:
        return text + "Z"
    minutes = int(offset.total_seconds() // 60)
    return f"{text}{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def duration_text(interval: dt.timedelta) -> str:
    """Return an xs:duration in days, hours, minutes and seconds."""
    minutes, seconds = divmod(interval.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{interval.microseconds:06d}".rstrip("0").rstrip(".")
    return f"P{interval.days}DT{hours}H{minutes}M{seconds}{fraction}S"


def read_members(element: Element) -> dict[str, Parameter]:
    """Return the children as parameters, by local name; repeated names become a list."""
    members: dict[str, Parameter] = {}
    for child in element:
        name, value = local(child), read_value(child)
        if name not in members:
            members[name] = value
            continue
        earlier = members[name]
        members[name] = [*earlier, value] if isinstance(earlier, list) else [earlier, value]
    return members


def read_value(element: Element) -> Parameter:
    """Return the value of an element: nil, text, a datetime's text, a reference or an object."""
    if element.get(f"{{{XSI}}}nil", "").strip().lower() in ("true", "1"):
        return None
    if not len(element):
        return element.text or ""
    if element.find(f"{{{ADDRESSING}}}ReferenceParameters") is not None:
        return read_reference(element)
    inner = element.find(f"{{{ADDRESSING}}}EndpointReference")
    if inner is not None:
        return read_reference(inner)
    if len(element) == 1 and local(element[0]) in ("Datetime", "Interval", "Date", "Time"):
        return (element[0].text or "").strip()
    return Instance(_type_of(element), read_members(element))


def _type_of(element: Element) -> str:
    """Return the class of an embedded object: its ``xsi:type`` without prefix and ``_Type``."""
    kind = element.get(f"{{{XSI}}}type", local(element)).rpartition(":")[2]
    return kind.removesuffix("_Type")


def read_reference(element: Element) -> Reference:
    """Return an endpoint reference as a `Reference`."""
    parameters = element.find(f"{{{ADDRESSING}}}ReferenceParameters")
    if parameters is None:
        return Reference("", "", {})
    uri = (parameters.findtext(f"{{{WSMAN}}}ResourceURI") or "").strip()
    namespace, _, class_name = uri.removeprefix(WMI + "/").rpartition("/")
    selectors = parameters.findall(f"{{{WSMAN}}}SelectorSet/{{{WSMAN}}}Selector")
    return Reference(namespace, class_name, {item.get("Name", ""): item.text or "" for item in selectors})
