"""Requests, checked against the standards with another parser than ours; answers cut off, changed and misdirected."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provmode.wsman import (
    CommandLine,
    Enumerate,
    Fault,
    Get,
    Identify,
    Instance,
    Invoke,
    MalformedAnswer,
    Operation,
    Put,
    Request,
    Resource,
    Response,
    UnexpectedAnswer,
    Value,
    decode,
    encode,
    exchange_for,
    uris,
)
from provmode.wsman.exchange import SHAPES
from provmode.wsman.messages import MAX_ENVELOPE_SIZE

ID = "uuid:5E6FD101-710A-4EEA-A50D-70C0BF863AA3"
TO = "http://pc-1.example.com:5985/wsman"
NAMESPACES = {
    "s": uris.SOAP,
    "a": uris.ADDRESSING,
    "w": uris.WSMAN,
    "v": uris.WSMV,
    "n": uris.ENUMERATION,
    "rsp": uris.SHELL,
    "x": uris.TRANSFER,
}
SPOOLER = Resource.cim("root/cimv2", "Win32_Service", {"Name": "Spooler"})
REGISTRY = Resource.cim("root/cimv2", "StdRegProv")
OPERATIONS: dict[str, Operation] = {
    "Get": Get(SPOOLER),
    "Put": Put(SPOOLER, (("StartMode", "Auto"), ("Delayed", True))),
    "Invoke": Invoke(REGISTRY, "EnumKey", (("hDefKey", "2147483650"), ("sSubKeyName", "SOFTWARE\\A & B"))),
    "Enumerate": Enumerate(Resource.cim("root/cimv2", "Win32_Service")),
    "Query": Enumerate.query("root/cimv2", "SELECT Name FROM Win32_Service WHERE Name<>'a' AND Name>'b'"),
    "CommandLine": CommandLine(
        'type "%windir%\\a&b.txt" > nul', b"in", environment=(("A", "1 < 2"),), directory="C:\\Temp"
    ),
}
WIRE_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff") | st.sampled_from("\t\n\r")
)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)


def answered(body: str, action: str = "any", relates_to: str = ID) -> bytes:
    """Return an answer with *body*."""
    bound = {"s": uris.SOAP, "a": uris.ADDRESSING, "w": uris.WSMAN, "x": uris.TRANSFER, "n": uris.ENUMERATION}
    bound |= {"rsp": uris.SHELL, "xsi": uris.XSI, "cim": uris.CIM_COMMON}
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in bound.items())
    return (
        f"<s:Envelope {declared}><s:Header><a:Action>{action}</a:Action><a:MessageID>uuid:1</a:MessageID>"
        f"<a:RelatesTo>{relates_to}</a:RelatesTo></s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


SHELL_CREATED = (
    "<x:ResourceCreated><a:Address>http://pc</a:Address><a:ReferenceParameters>"
    f"<w:ResourceURI>{uris.CMD_SHELL}</w:ResourceURI><w:SelectorSet>"
    '<w:Selector Name="ShellId">SHELL-1</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>'
)
DONE = (
    '<rsp:ReceiveResponse><rsp:Stream Name="stdout" CommandId="C-1">aGkNCg==</rsp:Stream>'
    '<rsp:Stream Name="stdout" CommandId="C-1" End="true"></rsp:Stream>'
    f'<rsp:CommandState CommandId="C-1" State="{uris.COMMAND_DONE}"><rsp:ExitCode>0</rsp:ExitCode></rsp:CommandState>'
    "</rsp:ReceiveResponse>"
)
ANSWERS = {
    "Identify": '<i:IdentifyResponse xmlns:i="urn:i"><i:ProductVendor>V</i:ProductVendor></i:IdentifyResponse>',
    "Get": f'<p:Win32_Service xmlns:p="{SPOOLER.uri}"><p:Name>A</p:Name><p:State xsi:nil="true"/></p:Win32_Service>',
    "Put": f'<p:Win32_Service xmlns:p="{SPOOLER.uri}"><p:StartMode>Auto</p:StartMode></p:Win32_Service>',
    "Invoke": f'<p:EnumKey_OUTPUT xmlns:p="{REGISTRY.uri}"><p:sNames>A</p:sNames></p:EnumKey_OUTPUT>',
    "Enumerate": "<n:EnumerateResponse><n:EnumerationContext>uuid:2</n:EnumerationContext><w:Items><w:XmlFragment>"
    "<Name>é</Name></w:XmlFragment></w:Items></n:EnumerateResponse>",
    "Pull": "<n:PullResponse><n:Items><w:XmlFragment><Name>😀</Name></w:XmlFragment></n:Items>"
    "<n:EndOfSequence/></n:PullResponse>",
    "Release": "",
    "ShellCreate": SHELL_CREATED,
    "Command": "<rsp:CommandResponse><rsp:CommandId>C-1</rsp:CommandId></rsp:CommandResponse>",
    "Send": "<rsp:SendResponse/>",
    "Receive": DONE,
    "Signal": "<rsp:SignalResponse/>",
    "ShellDelete": "",
}
"""A PC's answer to each kind of message."""


def requests_of(operation: Operation) -> list[Request]:
    """Return every request of an exchange without errors."""
    exchange = exchange_for(operation)
    request = next(exchange)
    found = [request]
    try:
        while True:
            request = exchange.send(decode(answered(ANSWERS[request.shape]), message_id=ID))
            found.append(request)
    except StopIteration:
        return found


def signal_of(operation: CommandLine) -> list[Request]:
    """Return the requests that free everything if output cannot be received."""
    exchange = exchange_for(operation)
    request = next(exchange)
    while request.shape != "Receive":
        request = exchange.send(decode(answered(ANSWERS[request.shape]), message_id=ID))
    found = [exchange.throw(Fault(code=5))]
    found.append(exchange.send(Response("", None)))
    with pytest.raises(Fault):
        exchange.send(Response("", None))
    return found


def release() -> Request:
    """Return the request that gives up an enumeration without an end."""
    exchange = exchange_for(OPERATIONS["Enumerate"])
    request = next(exchange)
    while request.shape != "Release":
        name = f"n:{request.shape}Response"
        endless = f"<{name}><n:EnumerationContext>uuid:2</n:EnumerationContext></{name}>"
        request = exchange.send(decode(answered(endless)))
    return request


EVERY_REQUEST = {
    request.shape + ("" if name != "Query" else "Query"): request
    for name, operation in OPERATIONS.items()
    for request in requests_of(operation)
}
EVERY_REQUEST |= {request.shape: request for request in signal_of(CommandLine("ver"))}
EVERY_REQUEST |= {"Release": release(), "Identify": next(exchange_for(Identify()))}
ADDRESSED = {name: request for name, request in EVERY_REQUEST.items() if name != "Identify"}


def written(request: Request, **changes: Any) -> ET.Element:
    """Return *request* as read by the other parser."""
    settings = {"to": TO, "message_id": ID, "operation_timeout": 60.0, **changes}
    return ET.fromstring(encode(request, **settings))


def one(root: ET.Element, path: str) -> ET.Element:
    """Return the only element at *path*."""
    found = root.findall(path, NAMESPACES)
    assert len(found) == 1, path
    return found[0]


def pairs(root: ET.Element, path: str) -> list[tuple[str | None, str]]:
    return [(item.get("Name"), item.text or "") for item in root.findall(path, NAMESPACES)]


def must_understand(element: ET.Element) -> str | None:
    return element.get(f"{{{uris.SOAP}}}mustUnderstand")


# -- the header, for every kind of message -----------------------------------------------------------------------


def test_the_exchanges_send_every_kind_of_message_and_no_other() -> None:
    assert {request.shape for request in EVERY_REQUEST.values()} == set(SHAPES)
    assert set(ANSWERS) == set(SHAPES)


@pytest.mark.parametrize("name", ADDRESSED)
def test_every_request_has_the_headers_that_the_standard_requires(name: str) -> None:
    request = ADDRESSED[name]
    root = written(request, operation_timeout=12.5)

    assert root.tag == f"{{{uris.SOAP}}}Envelope"
    assert [item.tag.rpartition("}")[2] for item in root] == ["Header", "Body"]
    assert one(root, "s:Header/a:To").text == TO
    assert one(root, "s:Header/a:ReplyTo/a:Address").text == uris.ANONYMOUS
    assert one(root, "s:Header/a:MessageID").text == ID
    assert one(root, "s:Header/a:Action").text == request.action
    assert request.resource is not None
    assert one(root, "s:Header/w:ResourceURI").text == request.resource.uri
    assert one(root, "s:Header/w:OperationTimeout").text == "PT12.500S"
    assert one(root, "s:Header/w:MaxEnvelopeSize").text == str(MAX_ENVELOPE_SIZE)
    for path in ("w:Locale", "v:DataLocale"):
        assert one(root, f"s:Header/{path}").get(f"{{{uris.XML}}}lang") == "en-US"


@pytest.mark.parametrize("name", ADDRESSED)
def test_must_understand_is_set_on_every_header_but_the_language(name: str) -> None:
    root = written(ADDRESSED[name])

    for path in ("a:Action", "w:ResourceURI", "w:MaxEnvelopeSize", "a:ReplyTo/a:Address"):
        assert must_understand(one(root, f"s:Header/{path}")) == "true"
    for path in ("w:Locale", "v:DataLocale"):  # MS-WSMV 3.1.4.1.8: true makes it w:UnsupportedFeature
        assert must_understand(one(root, f"s:Header/{path}")) == "false"


@pytest.mark.parametrize("name", ADDRESSED)
def test_no_header_comes_twice(name: str) -> None:
    names = [item.tag for item in one(written(ADDRESSED[name]), "s:Header")]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", EVERY_REQUEST)
def test_every_request_is_utf8_with_a_declaration_that_says_so(name: str) -> None:
    data = encode(EVERY_REQUEST[name], to=TO, message_id=ID, operation_timeout=60)

    assert data.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
    assert data.decode("utf-8")
    assert len(one(ET.fromstring(data), "s:Body")) <= 1


@pytest.mark.parametrize(("size", "language"), [(8192, "de-DE"), (512_000, "fr-FR")])
def test_size_and_language_come_from_the_caller(size: int, language: str) -> None:
    root = written(ADDRESSED["Get"], max_envelope_size=size, locale=language)

    assert one(root, "s:Header/w:MaxEnvelopeSize").text == str(size)
    assert one(root, "s:Header/w:Locale").get(f"{{{uris.XML}}}lang") == language


def test_every_windows_accepts_the_default_envelope_size() -> None:
    assert 8192 <= MAX_ENVELOPE_SIZE <= 150 * 1024


@given(WIRE_TEXT, WIRE_TEXT, WIRE_TEXT)
def test_any_address_id_and_language_can_be_written(to: str, message_id: str, locale: str) -> None:
    root = written(ADDRESSED["Get"], to=to, message_id=message_id, locale=locale)

    assert one(root, "s:Header/a:To").text or to == ""
    assert (one(root, "s:Header/a:MessageID").text or "") == message_id
    assert one(root, "s:Header/w:Locale").get(f"{{{uris.XML}}}lang") == locale


# -- each kind of message ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("Get", "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get"),
        ("Put", "http://schemas.xmlsoap.org/ws/2004/09/transfer/Put"),
        ("Invoke", "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/StdRegProv/EnumKey"),
        ("Enumerate", "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Enumerate"),
        ("Pull", "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Pull"),
        ("Release", "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Release"),
        ("ShellCreate", "http://schemas.xmlsoap.org/ws/2004/09/transfer/Create"),
        ("Command", "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Command"),
        ("Send", "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Send"),
        ("Receive", "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Receive"),
        ("Signal", "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Signal"),
        ("ShellDelete", "http://schemas.xmlsoap.org/ws/2004/09/transfer/Delete"),
    ],
)
def test_each_shape_has_its_action(name: str, action: str) -> None:
    assert one(written(ADDRESSED[name]), "s:Header/a:Action").text == action


@pytest.mark.parametrize(
    ("name", "uri", "selectors"),
    [
        ("Get", SPOOLER.uri, [("Name", "Spooler")]),
        ("Put", SPOOLER.uri, [("Name", "Spooler")]),
        ("Invoke", REGISTRY.uri, []),
        ("Enumerate", "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/Win32_Service", []),
        ("EnumerateQuery", "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/*", []),
        ("PullQuery", "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/*", []),
        ("ShellCreate", uris.CMD_SHELL, []),
        ("Command", uris.CMD_SHELL, [("ShellId", "SHELL-1")]),
        ("Send", uris.CMD_SHELL, [("ShellId", "SHELL-1")]),
        ("Receive", uris.CMD_SHELL, [("ShellId", "SHELL-1")]),
        ("Signal", uris.CMD_SHELL, [("ShellId", "SHELL-1")]),
        ("ShellDelete", uris.CMD_SHELL, [("ShellId", "SHELL-1")]),
    ],
)
def test_each_shape_is_addressed_to_its_resource(name: str, uri: str, selectors: list[tuple[str, str]]) -> None:
    root = written(ADDRESSED[name])

    assert one(root, "s:Header/w:ResourceURI").text == uri
    assert pairs(root, "s:Header/w:SelectorSet/w:Selector") == selectors
    assert len(root.findall("s:Header/w:SelectorSet", NAMESPACES)) == bool(selectors)


def test_only_the_shell_has_options_and_they_are_the_documented_ones() -> None:
    found = {name: pairs(written(request), "s:Header/w:OptionSet/w:Option") for name, request in ADDRESSED.items()}

    assert {name: options for name, options in found.items() if options} == {
        "ShellCreate": [("WINRS_NOPROFILE", "TRUE"), ("WINRS_CODEPAGE", "65001")],
        "Command": [("WINRS_SKIP_CMD_SHELL", "FALSE")],
    }


@pytest.mark.parametrize(("understand", "mark"), [(True, "true"), (False, None)])
def test_options_say_whether_they_must_be_understood(understand: bool, mark: str | None) -> None:
    request = Request("Get", uris.GET, SPOOLER, "", "Get", (("A", "1"),), understand)

    assert must_understand(one(written(request), "s:Header/w:OptionSet")) == mark


def test_identify_is_a_bare_envelope_without_headers() -> None:
    root = written(EVERY_REQUEST["Identify"])

    assert len(one(root, "s:Header")) == 0
    assert [item.tag for item in one(root, "s:Body")] == [f"{{{uris.IDENTITY}}}Identify"]


def test_a_get_and_a_delete_have_an_empty_body() -> None:
    for name in ("Get", "ShellDelete"):
        body = one(written(ADDRESSED[name]), "s:Body")
        assert len(body) == 0
        assert not body.text


def test_an_enumeration_is_optimised_and_asks_for_the_largest_page_of_windows() -> None:
    for name in ("Enumerate", "EnumerateQuery"):
        body = one(written(ADDRESSED[name]), "s:Body/n:Enumerate")
        assert [item.tag for item in body][:2] == [
            f"{{{uris.WSMAN}}}{n}" for n in ("OptimizeEnumeration", "MaxElements")
        ]
        assert one(body, "w:MaxElements").text == "32000"
    assert one(written(ADDRESSED["Pull"]), "s:Body/n:Pull/n:MaxElements").text == "32000"
    assert one(written(ADDRESSED["Pull"]), "s:Body/n:Pull/n:EnumerationContext").text == "uuid:2"
    assert one(written(ADDRESSED["Release"]), "s:Body/n:Release/n:EnumerationContext").text == "uuid:2"


def test_only_a_query_has_a_filter_and_names_its_dialect() -> None:
    found = one(written(ADDRESSED["EnumerateQuery"]), "s:Body/n:Enumerate/w:Filter")

    assert found.get("Dialect") == "http://schemas.microsoft.com/wbem/wsman/1/WQL"
    assert found.text == "SELECT Name FROM Win32_Service WHERE Name<>'a' AND Name>'b'"
    assert written(ADDRESSED["Enumerate"]).find(".//w:Filter", NAMESPACES) is None


def test_a_put_contains_the_object_in_the_namespace_of_its_class() -> None:
    body = one(written(ADDRESSED["Put"]), "s:Body")

    assert [item.tag for item in body] == [f"{{{SPOOLER.uri}}}Win32_Service"]
    assert [(item.tag, item.text) for item in body[0]] == [
        (f"{{{SPOOLER.uri}}}StartMode", "Auto"),
        (f"{{{SPOOLER.uri}}}Delayed", "true"),
    ]


def test_an_invoke_contains_its_parameters_in_order_in_the_namespace_of_the_class() -> None:
    body = one(written(ADDRESSED["Invoke"]), "s:Body")

    assert [item.tag for item in body] == [f"{{{REGISTRY.uri}}}EnumKey_INPUT"]
    assert [(item.tag, item.text) for item in body[0]] == [
        (f"{{{REGISTRY.uri}}}hDefKey", "2147483650"),
        (f"{{{REGISTRY.uri}}}sSubKeyName", "SOFTWARE\\A & B"),
    ]


def test_a_shell_is_created_in_the_order_of_its_schema() -> None:
    shell = one(written(ADDRESSED["ShellCreate"]), "s:Body/rsp:Shell")

    assert [item.tag.rpartition("}")[2] for item in shell] == [
        "Environment",
        "WorkingDirectory",
        "IdleTimeOut",
        "InputStreams",
        "OutputStreams",
    ]
    assert pairs(shell, "rsp:Environment/rsp:Variable") == [("A", "1 < 2")]
    assert [item.text for item in shell[1:]] == ["C:\\Temp", "PT180S", "stdin", "stdout stderr"]


def test_the_shell_messages_name_their_command() -> None:
    receive = one(written(ADDRESSED["Receive"]), "s:Body/rsp:Receive/rsp:DesiredStream")
    stream = one(written(ADDRESSED["Send"]), "s:Body/rsp:Send/rsp:Stream")
    signal = one(written(ADDRESSED["Signal"]), "s:Body/rsp:Signal")

    assert (receive.get("CommandId"), receive.text) == ("C-1", "stdout stderr")
    assert (stream.attrib, stream.text) == ({"Name": "stdin", "CommandId": "C-1", "End": "true"}, "aW4=")
    assert signal.get("CommandId") == "C-1"
    assert one(signal, "rsp:Code").text == "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/signal/terminate"


# -- any text ----------------------------------------------------------------------------------------------------


@given(WIRE_TEXT)
def test_a_query_arrives_as_it_was_written(wql: str) -> None:
    request = next(exchange_for(Enumerate.query("root/cimv2", wql)))

    assert (one(written(request), "s:Body/n:Enumerate/w:Filter").text or "") == wql


@given(st.lists(st.tuples(WIRE_TEXT, WIRE_TEXT), max_size=4).map(tuple))
def test_selectors_arrive_as_they_were_written(selectors: tuple[tuple[str, str], ...]) -> None:
    request = next(exchange_for(Get(Resource(SPOOLER.uri, selectors))))

    assert tuple(pairs(written(request), "s:Header/w:SelectorSet/w:Selector")) == selectors


@given(st.lists(st.tuples(WIRE_TEXT, WIRE_TEXT), max_size=4).map(tuple))
def test_options_arrive_as_they_were_written(options: tuple[tuple[str, str], ...]) -> None:
    request = Request("Get", uris.GET, SPOOLER, "", "Get", options)

    assert tuple(pairs(written(request), "s:Header/w:OptionSet/w:Option")) == options


@given(NAMES, st.lists(st.tuples(NAMES, WIRE_TEXT), max_size=5).map(tuple))
def test_parameters_arrive_as_they_were_written(method: str, parameters: tuple[tuple[str, Value], ...]) -> None:
    root = written(next(exchange_for(Invoke(REGISTRY, method, parameters))))
    body = one(root, "s:Body")

    assert one(root, "s:Header/a:Action").text == f"{REGISTRY.uri}/{method}"
    assert body[0].tag == f"{{{REGISTRY.uri}}}{method}_INPUT"
    assert tuple((item.tag.rpartition("}")[2], item.text or "") for item in body[0]) == parameters


@given(WIRE_TEXT.filter(lambda line: "\n" not in line and "\r" not in line), WIRE_TEXT, WIRE_TEXT, WIRE_TEXT)
def test_a_command_line_arrives_as_it_was_written(line: str, name: str, value: str, directory: str) -> None:
    exchange = exchange_for(CommandLine(line, environment=((name, value),), directory=directory or None))
    create = written(next(exchange))
    command = written(exchange.send(decode(answered(SHELL_CREATED))))

    assert pairs(create, "s:Body/rsp:Shell/rsp:Environment/rsp:Variable") == [(name, value)]
    assert (create.findtext("s:Body/rsp:Shell/rsp:WorkingDirectory", "", NAMESPACES)) == directory
    assert (one(command, "s:Body/rsp:CommandLine/rsp:Command").text or "") == line


@pytest.mark.parametrize("uri", ['http://x/y"z', "http://x/<y>&z", "http://x/y'z"])
def test_a_resource_uri_is_escaped_everywhere(uri: str) -> None:
    for operation in (Get(Resource(uri)), Invoke(Resource(uri), "M"), Enumerate(Resource(uri))):
        assert one(written(next(exchange_for(operation))), "s:Header/w:ResourceURI").text == uri


@pytest.mark.parametrize("method", ["", "a b", "A><evil", "A/B", "1", "a:b", "Mé"])
def test_an_invalid_method_name_is_refused_before_anything_is_sent(method: str) -> None:
    with pytest.raises(ValueError, match="is not a name"):
        next(exchange_for(Invoke(REGISTRY, method)))


@pytest.mark.parametrize("bad", ["\0", "\x1b", "\ud800", "\uffff"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda text: Get(Resource("u", (("Name", text),))),
        lambda text: Enumerate.query("root/cimv2", text),
        lambda text: Invoke(REGISTRY, "M", (("p", text),)),
        lambda text: Put(SPOOLER, (("p", text),)),
        lambda text: CommandLine("ver", environment=(("A", text),)),
        lambda text: CommandLine("ver", directory=text),
    ],
)
def test_text_that_xml_cannot_represent_is_refused_before_anything_is_sent(
    ask: Callable[[str], Operation], bad: str
) -> None:
    with pytest.raises(ValueError, match=f"U\\+{ord(bad):04X}"):
        encode(next(exchange_for(ask(f"a{bad}b"))), to=TO, message_id=ID, operation_timeout=60)


def test_times_intervals_and_objects_can_be_parameters() -> None:
    parameters: tuple[tuple[str, Value], ...] = (
        ("When", datetime(2024, 2, 29, 12, tzinfo=timezone.utc)),
        ("Long", timedelta(minutes=5)),
        ("What", Instance("Test", {"A": 1}, "urn:test")),
    )
    inner = one(written(next(exchange_for(Invoke(REGISTRY, "M", parameters)))), "s:Body")[0]

    assert [(item[0].tag, item[0].text) for item in inner] == [
        (f"{{{uris.CIM_COMMON}}}Datetime", "2024-02-29T12:00:00Z"),
        (f"{{{uris.CIM_COMMON}}}Interval", "P0DT0H5M0S"),
        ("{urn:test}Test", None),
    ]


# -- answers -----------------------------------------------------------------------------------------------------


def test_an_answer_is_split_into_action_body_and_rest() -> None:
    response = decode(answered(SHELL_CREATED + "<rsp:Shell/>", "http://x/CreateResponse"), message_id=ID)

    assert response.action == "http://x/CreateResponse"
    assert response.body is not None
    assert response.body.tag == f"{{{uris.TRANSFER}}}ResourceCreated"
    assert [item.tag for item in response.rest] == [f"{{{uris.SHELL}}}Shell"]


def test_an_answer_with_an_empty_body_has_no_body() -> None:
    assert decode(answered(""), message_id=ID) == Response("any", None)


@pytest.mark.parametrize("other", ["", "uuid:00000000-0000-0000-0000-000000000000", f"{ID}0", ID[:-1]])
def test_an_answer_to_another_message_is_refused(other: str) -> None:
    with pytest.raises(UnexpectedAnswer, match="another message"):
        decode(answered(ANSWERS["Get"], relates_to=other), message_id=ID)


@pytest.mark.parametrize("same", [ID, ID.lower(), f" {ID}\r\n"])
def test_an_id_compares_without_regard_to_case_and_blanks(same: str) -> None:
    assert decode(answered(ANSWERS["Get"], relates_to=same), message_id=ID).body is not None


def test_an_answer_without_relates_to_is_refused() -> None:
    data = answered(ANSWERS["Get"]).replace(f"<a:RelatesTo>{ID}</a:RelatesTo>".encode(), b"")

    with pytest.raises(UnexpectedAnswer, match="another message"):
        decode(data, message_id=ID)


@pytest.mark.parametrize(
    "data",
    [
        b"<html><body>Not found</body></html>",
        f'<s:Envelope xmlns:s="{uris.SOAP}"/>'.encode(),
        f'<s:Envelope xmlns:s="{uris.SOAP}"><s:Header/></s:Envelope>'.encode(),
        f'<s:Body xmlns:s="{uris.SOAP}"/>'.encode(),
        b"",
    ],
)
def test_a_document_that_is_not_an_envelope_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        decode(data, message_id=ID)


def test_any_namespace_prefix_is_accepted() -> None:
    data = answered(ANSWERS["Get"]).replace(b"xmlns:s=", b"xmlns:zz=")
    data = data.replace(b"<s:", b"<zz:").replace(b"</s:", b"</zz:")

    assert decode(data, message_id=ID).body is not None


@pytest.mark.parametrize("shape", SHAPES)
@given(data=st.data())
def test_an_answer_cut_at_any_byte_is_malformed(shape: str, data: st.DataObject) -> None:
    whole = answered(ANSWERS[shape])

    with pytest.raises(MalformedAnswer):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))], message_id=ID)


NUMBERED = [
    *(("Get", OPERATIONS["Get"], n) for n in range(1)),
    *(("Put", OPERATIONS["Put"], n) for n in range(1)),
    *(("Invoke", OPERATIONS["Invoke"], n) for n in range(1)),
    *(("Enumerate", OPERATIONS["Enumerate"], n) for n in range(2)),
    *(("CommandLine", OPERATIONS["CommandLine"], n) for n in range(4)),
]
"""Every answer that an exchange reads: the operation, and how many answers come before it."""


def reach(operation: Operation, count: int) -> tuple[Any, Request]:
    """Return the exchange after *count* answers, and its next request."""
    exchange = exchange_for(operation)
    request = next(exchange)
    for _ in range(count):
        request = exchange.send(decode(answered(ANSWERS[request.shape])))
    return exchange, request


def outcome(exchange: Any, data: bytes) -> type[Exception] | None:
    """Give an exchange an answer and close it; return the documented error that it raises, ``None`` if it goes on."""
    try:
        exchange.send(decode(data, message_id=ID))
        exchange.close()
    except StopIteration:
        return None
    except (Fault, MalformedAnswer, UnexpectedAnswer) as error:
        return type(error)
    return None


def well_formed(data: bytes) -> bool:
    """Return what another parser says."""
    try:
        ET.fromstring(data)
    except ET.ParseError:
        return False
    return True


@pytest.mark.parametrize(("name", "operation", "count"), NUMBERED)
@given(start=st.floats(0, 1), size=st.floats(0, 1))
@example(start=0.5, size=0)
def test_an_answer_with_a_piece_missing_raises_only_the_documented_errors(
    name: str, operation: Operation, count: int, start: float, size: float
) -> None:
    exchange, request = reach(operation, count)
    whole = answered(ANSWERS[request.shape])
    before, missing = int(start * len(whole)), int(size * len(whole))
    damaged = whole[:before] + whole[before + missing :]

    raised = outcome(exchange, damaged)

    assert raised is None or damaged != whole
    assert raised is MalformedAnswer or well_formed(damaged)


PIECES = st.sampled_from(
    [
        *("<a/>", "<Datetime>x</Datetime>", "<Interval>x</Interval>", "<Address>x</Address>", "", "text"),
        *('<X xsi:nil="true"/>', "<ReferenceParameters/>", "<EndpointReference/>", "<w:Item/>", "<n:EndOfSequence/>"),
        *("<n:EnumerationContext/>", "<w:Items><a/></w:Items>", "<n:Items><w:Item><b/></w:Item></n:Items>"),
        *('<rsp:Stream Name="stdout">!</rsp:Stream>', "<rsp:Stream>é</rsp:Stream>", "<rsp:CommandId> </rsp:CommandId>"),
        f'<rsp:CommandState State="{uris.COMMAND_DONE}"/>',
        f'<rsp:CommandState State="{uris.COMMAND_DONE}"><rsp:ExitCode>--1</rsp:ExitCode></rsp:CommandState>',
        f'<rsp:CommandState State="{uris.COMMAND_DONE}"><rsp:ExitCode>²</rsp:ExitCode></rsp:CommandState>',
        "<X><cim:Datetime>2024-13-01T00:00:00Z</cim:Datetime></X>",
        "<X><a:ReferenceParameters/></X>",
    ]
)
ROOTS = st.sampled_from(
    [
        *("n:EnumerateResponse", "n:PullResponse", "rsp:ReceiveResponse", "rsp:CommandResponse", "x:ResourceCreated"),
        *("Win32_Service", "EnumKey_OUTPUT", "rsp:Shell", "w:XmlFragment"),
    ]
)


@pytest.mark.parametrize(("name", "operation", "count"), NUMBERED)
@given(root=ROOTS, pieces=st.lists(PIECES, max_size=5).map("".join))
def test_a_well_formed_answer_of_any_other_kind_raises_only_the_documented_errors(
    name: str, operation: Operation, count: int, root: str, pieces: str
) -> None:
    exchange, _ = reach(operation, count)
    data = answered(f"<{root}>{pieces}</{root}>")
    body = decode(data, message_id=ID).body

    assert body is not None
    assert body.tag.rpartition("}")[2] == root.rpartition(":")[2]
    assert outcome(exchange, data) in (None, UnexpectedAnswer)


@given(pieces=st.lists(PIECES, max_size=5).map("".join))
def test_a_fault_of_any_content_is_a_fault(pieces: str) -> None:
    with pytest.raises(Fault):
        decode(answered(f"<s:Fault>{pieces}</s:Fault>"), message_id=ID)
