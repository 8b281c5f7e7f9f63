"""Headers are checked as strictly as in Windows, and answers and faults have its shapes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.lab.server import faults
from provmode.lab.server.envelope import (
    MIN_ENVELOPE,
    WINRM_1,
    WINRM_2,
    WINRM_3,
    Limits,
    Partial,
    machine_of,
    parse_duration,
    read_request,
    read_root,
    write_fault,
)
from provmode.lab.server.faults import FaultContext, SoapFault
from provmode.lab.server.languages import translate
from provmode.lab.server.xmltree import DEPTH_LIMIT, MalformedXml, escape, parse

GET = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get"
OS = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/Win32_OperatingSystem"
CONTEXT = FaultContext("pc-1", "PC-1", "en-US")
ANYWHERE = "<a:ReplyTo><a:Address>http://elsewhere/</a:Address></a:ReplyTo>"


def refused(message: bytes) -> faults.Fault:
    with pytest.raises(SoapFault) as raised:
        read_request(read_root(message, "UTF-8"), Limits())
    return raised.value.fault


def test_a_valid_request_is_read_completely(envelope: Any) -> None:
    extra = (
        '<w:SelectorSet><w:Selector Name="Name">Spooler</w:Selector></w:SelectorSet>'
        '<w:OptionSet><w:Option Name="winrs_codepage">65001</w:Option></w:OptionSet>'
    )
    request = read_request(read_root(envelope(GET, OS, "<x/>", extra), "UTF-8"), Limits())
    assert (request.action, request.resource_uri) == (GET, OS)
    assert request.selector("nAME") == "Spooler"
    assert request.options == {"WINRS_CODEPAGE": "65001"}
    assert request.timeout == 60
    assert request.max_envelope == 153600
    assert request.body is not None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"MessageID": None}, 2150858767),
        ({"MessageID": "<a:MessageID/>"}, 2150858767),
        ({"MessageID": f"<a:MessageID>{'x' * 2049}</a:MessageID>"}, 2150858767),
        ({"ReplyTo": None}, 2150858769),
        ({"ReplyTo": ANYWHERE}, 2150858870),
        ({"FaultTo": ANYWHERE.replace("ReplyTo", "FaultTo")}, 2150858870),
        ({"Action": None}, 2150858769),
        ({"Action": f"<a:Action>{GET}</a:Action><a:Action>{GET}</a:Action>"}, 2150858767),
        ({"To": None}, 2150858769),
        ({"ResourceURI": None}, 2150858811),
        ({"MaxEnvelopeSize": "<w:MaxEnvelopeSize>8191</w:MaxEnvelopeSize>"}, 2150858805),
        ({"MaxEnvelopeSize": "<w:MaxEnvelopeSize>many</w:MaxEnvelopeSize>"}, 2150858767),
        ({"OperationTimeout": "<w:OperationTimeout>PT-1S</w:OperationTimeout>"}, 2150858767),
        ({"Locale": '<w:Locale xml:lang="en-US" s:mustUnderstand="true"/>'}, 2150858855),
        ({"DataLocale": '<p:DataLocale xml:lang="en-US" s:mustUnderstand="true"/>'}, 2150858855),
        ({"SelectorSet": "<w:SelectorSet><w:Selector>x</w:Selector></w:SelectorSet>"}, 2150858843),
    ],
)
def test_a_bad_header_is_refused_by_its_code(envelope: Any, change: dict[str, str | None], code: int) -> None:
    assert refused(envelope(GET, OS, **change)).code == code


def test_the_timeout_fault_names_the_value(envelope: Any) -> None:
    fault = refused(envelope(GET, OS, OperationTimeout="<w:OperationTimeout>PT-1S</w:OperationTimeout>"))
    assert fault.message == "The XML contains an invalid timeout field in the SOAP header: PT-1S. "


def test_an_unknown_header_is_skipped_unless_it_must_be_understood(envelope: Any) -> None:
    unknown = '<z:Odd xmlns:z="urn:odd"{}>1</z:Odd>'
    read_request(read_root(envelope(GET, OS, "", unknown.format("")), "UTF-8"), Limits())
    fault = refused(envelope(GET, OS, "", unknown.format(' s:mustUnderstand="true"')))
    text = write_fault(fault, Partial("uuid:1"), WINRM_3, CONTEXT)
    root = ET.fromstring(text)
    soap = "{http://www.w3.org/2003/05/soap-envelope}"
    assert root.findtext(f".//{soap}Code/{soap}Value") == "s:MustUnderstand"
    assert 'qname="q:Odd" xmlns:q="urn:odd"' in text


def test_must_understand_counts_without_its_namespace_as_well(envelope: Any) -> None:
    assert refused(envelope(GET, OS, "", '<z:Odd xmlns:z="urn:odd" mustUnderstand="1"/>')).not_understood


def test_requests_are_clamped_to_the_services_limits(envelope: Any) -> None:
    changes = {
        "MaxEnvelopeSize": "<w:MaxEnvelopeSize>99999999</w:MaxEnvelopeSize>",
        "OperationTimeout": "<w:OperationTimeout>PT1H</w:OperationTimeout>",
    }
    request = read_request(read_root(envelope(GET, OS, **changes), "UTF-8"), Limits(512000, 60))
    assert (request.max_envelope, request.timeout) == (512000, 60)
    request = read_request(read_root(envelope(GET, OS, MaxEnvelopeSize=None, OperationTimeout=None), "UTF-8"), Limits())
    assert (request.max_envelope, request.timeout) == (512000, 60)
    assert MIN_ENVELOPE == 8192


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"<not xml",
        b"<html/>",
        b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body/></s:Envelope>',
        b'<!DOCTYPE x [<!ENTITY a "b">]><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body/></s:Envelope>',
        b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"/>',
        b"\xff\xfe\xff",
    ],
)
def test_an_invalid_soap_envelope_is_a_schema_fault(message: bytes) -> None:
    with pytest.raises(SoapFault) as raised:
        read_root(message, "UTF-8")
    assert raised.value.fault.code == 2150858817


def test_a_document_that_nests_too_deeply_is_refused() -> None:
    assert parse(b"<a>" * DEPTH_LIMIT + b"</a>" * DEPTH_LIMIT, "UTF-8").tag == "a"
    with pytest.raises(MalformedXml):
        parse(b"<a>" * (DEPTH_LIMIT + 1) + b"</a>" * (DEPTH_LIMIT + 1), "UTF-8")


@given(st.text())
def test_any_character_is_kept_or_becomes_a_question_mark(text: str) -> None:
    read = parse(f"<a>{escape(text)}</a>".encode(), "UTF-8").text or ""
    assert len(read) <= len(text)
    assert all(
        got == put or got == "?" or put == "\r" for got, put in zip(read, text.replace("\r\n", "\n"), strict=False)
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT60S", 60), ("PT20.5S", 20.5), ("P1DT1H1M1S", 90061), ("P1Y", 31536000), ("PT0S", 0)],
)
def test_durations_are_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "60", "PT-1S", "-PT1S", "PT1", "pt1s", "PT1S "])
def test_an_invalid_duration_is_none(text: str) -> None:
    assert parse_duration(text) is None


def test_the_machine_in_a_fault_is_the_name_the_client_typed() -> None:
    assert machine_of("http://pc-1.corp:5985/wsman") == "pc-1.corp"
    assert machine_of("https://[::1]:5986/wsman") == "[::1]"
    assert machine_of("nonsense") == ""


def test_quota_faults_follow_the_stack() -> None:
    new = faults.quota(faults.QUOTA_SHELLS, 30, "shells", as_wmi_error=True)
    old = faults.quota(faults.QUOTA_OPERATIONS, 15, "operations", as_wmi_error=False)
    request = Partial("uuid:1", "pc-1")
    assert "RelatesTo" not in write_fault(new, request, WINRM_3, CONTEXT)
    assert "30 concurrent shells, which has been exceeded" in write_fault(new, request, WINRM_3, CONTEXT)
    text = write_fault(old, request, WINRM_2, CONTEXT)
    assert "RelatesTo>uuid:1<" in text
    assert 'Code="2150859174" Machine="pc-1"' in text
    assert "15 concurrent operations" in text


def test_newer_stacks_name_the_activity_and_echo_the_operation() -> None:
    request = Partial("uuid:1", "pc-1", "uuid:op")
    new, old = (write_fault(faults.TIMED_OUT, request, stack, CONTEXT) for stack in (WINRM_3, WINRM_1))
    assert "<p:ActivityId>" in new
    assert 'OperationID s:mustUnderstand="false">uuid:op<' in new
    assert "ActivityId" not in old
    assert "OperationID" not in old


def test_a_german_pc_has_german_faults_with_the_same_codes() -> None:
    text = write_fault(faults.TIMED_OUT, Partial("uuid:1"), WINRM_3, replace(CONTEXT, language="de-DE"))
    assert 'xml:lang="de-DE"' in text
    assert "Der WS-Verwaltungsdienst" in text
    assert "2150858793" in text
    assert translate("A text without translation", "de-DE") == "A text without translation"
