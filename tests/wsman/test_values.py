"""CIM values as XML, both ways: how each type is written, and how it is read back."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.wsman import (
    Instance,
    Reference,
    Resource,
    UnexpectedAnswer,
    Value,
    boolean,
    integer,
    integers,
    moment,
    strings,
    text,
    uris,
    wire_text,
)
from provmode.wsman.values import (
    format_interval,
    read_endpoint,
    read_interval,
    read_moment,
    read_object,
    write_object,
    write_property,
    write_selectors,
)

CLASS = Resource.cim("root/test", "Test_Class")
UTC = timezone.utc
BOUND = (
    f'xmlns:a="{uris.ADDRESSING}" xmlns:w="{uris.WSMAN}" xmlns:cim="{uris.CIM_COMMON}"'
    f' xmlns:xsi="{uris.XSI}" xmlns:p="{CLASS.uri}"'
)

WIRE_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff") | st.sampled_from("\t\n\r")
)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name not in ("Datetime", "Date", "Time", "Interval", "CIM_DateTime", "EndpointReference")
)
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(timezones=OFFSETS)
INTERVALS = st.timedeltas(timedelta(days=-99_999_999), timedelta(days=99_999_999))
RESOURCES = st.builds(
    Resource,
    st.just(CLASS.uri),
    st.lists(st.tuples(NAMES, WIRE_TEXT), min_size=1, max_size=3, unique_by=lambda pair: pair[0]).map(tuple),
)
SCALARS: st.SearchStrategy[Value] = st.one_of(
    st.none(), st.booleans(), st.integers(), WIRE_TEXT, MOMENTS, INTERVALS, RESOURCES.map(Reference)
)
VALUES: st.SearchStrategy[Value] = SCALARS | st.lists(SCALARS, min_size=2, max_size=4).map(tuple)


def element(xml: str) -> ET.Element:
    """Return the first element of a fragment, with the prefixes of a message bound."""
    return ET.fromstring(f"<root {BOUND}>{xml}</root>")[0]


def read(xml: str) -> Value:
    """Return the value read from a property written as *xml*."""
    return read_object(element(f"<p:Test_Class>{xml}</p:Test_Class>")).properties["X"]


def holding(value: Value) -> Instance:
    return Instance("Test_Class", {"X": value})


def on_the_wire(value: Value) -> Value:
    """Return *value* as it comes back: booleans and numbers as text, since the wire has no types."""
    if isinstance(value, tuple):
        return tuple(on_the_wire(item) for item in value)
    return wire_text(value) if isinstance(value, (bool, int)) else value


# -- reading: nil, text, arrays ----------------------------------------------------------------------------------


@pytest.mark.parametrize("nil", ['xsi:nil="true"', 'xsi:nil="1"', 'xsi:nil="true" xsi:type="cim:cimString"'])
def test_nil_is_read_as_none(nil: str) -> None:
    assert read(f"<p:X {nil}/>") is None


def test_an_element_with_nil_false_is_a_value() -> None:
    assert read('<p:X xsi:nil="false">5</p:X>') == "5"


@pytest.mark.parametrize("xml", ["<p:X></p:X>", "<p:X/>"])
def test_an_empty_element_is_an_empty_text_and_not_nil(xml: str) -> None:
    assert read(xml) == ""


def test_white_space_in_a_text_is_kept() -> None:
    assert read("<p:X>  a  b \n</p:X>") == "  a  b \n"


def test_repeated_elements_are_an_array_in_order() -> None:
    assert read("<p:X>b</p:X><p:Y>-</p:Y><p:X>a</p:X><p:X xsi:nil='true'/>") == ("b", "a", None)


def test_an_array_of_one_element_is_read_as_an_array_if_the_caller_asks_for_one() -> None:
    assert strings(holding(read("<p:X>only</p:X>")), "X") == ("only",)
    assert strings(holding(read("<p:X>a</p:X><p:X>b</p:X>")), "X") == ("a", "b")


def test_an_array_that_is_nil_or_missing_is_empty() -> None:
    for name in ("X", "Y"):
        assert strings(holding(None), name) == ()
        assert integers(holding(None), name) == ()


def test_types_on_the_elements_change_nothing() -> None:
    assert read('<p:X xsi:type="cim:cimUnsignedInt">27</p:X>') == "27"


def test_properties_of_a_projection_are_read_although_they_have_no_namespace() -> None:
    row = read_object(element("<w:XmlFragment><FreeSpace xsi:nil='true'/><Name>C:</Name></w:XmlFragment>"))

    assert row == Instance("XmlFragment", {"FreeSpace": None, "Name": "C:"}, uris.WSMAN)


def test_the_location_inside_an_object_is_not_a_property() -> None:
    read_back = read_object(
        element("<p:Test_Class><p:X>1</p:X><cim:Location><a:Address>x</a:Address></cim:Location></p:Test_Class>")
    )

    assert read_back == Instance("Test_Class", {"X": "1"}, CLASS.uri)


# -- reading: numbers and booleans -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "number"),
    [
        ("0", 0),
        ("255", 2**8 - 1),
        ("-128", -(2**7)),
        ("65535", 2**16 - 1),
        ("-2147483648", -(2**31)),
        ("4294967295", 2**32 - 1),
        ("18446744073709551615", 2**64 - 1),
        ("-9223372036854775808", -(2**63)),
        ("+7", 7),
        (" 42\r\n", 42),
        ("0x80041002", 0x80041002),
        ("0XFFFFFFFFFFFFFFFF", 2**64 - 1),
    ],
)
def test_integers_of_every_width_are_read(wire: str, number: int) -> None:
    assert integer(holding(wire), "X") == number
    assert integers(holding((wire, wire)), "X") == (number, number)


@pytest.mark.parametrize(
    "wire", ["x", "1.5", "1e3", "--1", "0x", "1 2", "٣", "1_000", "9" * 21, "0x" + "f" * 17, "True"]
)
def test_the_error_for_a_value_that_is_not_an_integer_names_the_property(wire: str) -> None:
    with pytest.raises(UnexpectedAnswer, match=r"Test_Class\.X: expected an integer"):
        integer(holding(wire), "X")
    with pytest.raises(UnexpectedAnswer, match=r"Test_Class\.X"):
        integers(holding(("1", wire)), "X")


@pytest.mark.parametrize("missing", [None, "", "  "])
def test_a_number_or_boolean_without_a_value_is_none(missing: Value) -> None:
    assert integer(holding(missing), "X") is None
    assert boolean(holding(missing), "X") is None


def test_an_array_of_integers_with_a_gap_is_refused() -> None:
    with pytest.raises(UnexpectedAnswer, match="an array of integers"):
        integers(holding(("1", "")), "X")
    with pytest.raises(UnexpectedAnswer, match="an array of text"):
        integers(holding(("1", None)), "X")


@pytest.mark.parametrize(
    ("wire", "value"), [("true", True), ("TRUE", True), ("1", True), ("false", False), ("False", False), ("0", False)]
)
def test_booleans_are_read_in_either_spelling(wire: str, value: bool) -> None:
    assert boolean(holding(wire), "X") is value


@pytest.mark.parametrize("wire", ["yes", "2", "-1", "truefalse"])
def test_a_value_that_is_not_a_boolean_is_refused(wire: str) -> None:
    with pytest.raises(UnexpectedAnswer, match="a boolean"):
        boolean(holding(wire), "X")


@pytest.mark.parametrize("value", [("a", "b"), datetime(2024, 1, 1, tzinfo=UTC), timedelta(1), Instance("Y")])
def test_a_value_that_is_not_text_is_refused(value: Value) -> None:
    with pytest.raises(UnexpectedAnswer, match=r"Test_Class\.X: expected text"):
        text(holding(value), "X")


@pytest.mark.parametrize(
    ("reader", "value", "said"),
    [
        (text, ("a",), "expected text, got ('a',)"),
        (integer, "1.5", "expected an integer, got '1.5'"),
        (boolean, "yes", "expected a boolean, got 'yes'"),
        (moment, timedelta(1), "expected a time, got datetime.timedelta(days=1)"),
        (strings, ("a", None), "expected an array of text, got None"),
        (integers, ("1", ""), "expected an array of integers, got ''"),
        (text, ("x" * 80,), f"expected text, got ('{'x' * 58}"),
    ],
)
def test_the_error_for_a_value_of_another_type_names_property_type_and_value(
    reader: Callable[[Instance, str], object], value: Value, said: str
) -> None:
    with pytest.raises(UnexpectedAnswer) as error:
        reader(holding(value), "X")

    assert str(error.value) == f"Test_Class.X: {said}"


def test_names_compare_without_regard_to_case_and_the_exact_one_wins() -> None:
    both = Instance("Test_Class", {"name": "lower", "Name": "exact"})

    assert text(both, "Name") == "exact"
    assert text(both, "NAME") == "lower"
    assert text(both, "Nam") is None


# -- reading: times ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        ("2013-04-15T16:28:43.488171Z", datetime(2013, 4, 15, 16, 28, 43, 488171, UTC)),
        ("2013-04-15T20:28:20.913Z", datetime(2013, 4, 15, 20, 28, 20, 913000, UTC)),
        ("2013-03-09T02:57:32Z", datetime(2013, 3, 9, 2, 57, 32, tzinfo=UTC)),
        ("2024-02-29T00:00:00+01:00", datetime(2024, 2, 29, tzinfo=timezone(timedelta(hours=1)))),
        ("2024-02-29T00:00:00-03:30", datetime(2024, 2, 29, tzinfo=timezone(-timedelta(hours=3, minutes=30)))),
        ("2024-02-29T00:00:00.123456789Z", datetime(2024, 2, 29, 0, 0, 0, 123456, UTC)),
        ("20110225134848.000000+000", datetime(2011, 2, 25, 13, 48, 48, tzinfo=UTC)),
        ("20240229235959.999999-300", datetime(2024, 2, 29, 23, 59, 59, 999999, timezone(-timedelta(hours=5)))),
        ("20240229235959.000001+060", datetime(2024, 2, 29, 23, 59, 59, 1, timezone(timedelta(hours=1)))),
    ],
)
def test_a_time_is_read_with_its_offset(wire: str, expected: datetime) -> None:
    for xml in (
        f"<p:X><cim:Datetime>{wire}</cim:Datetime></p:X>",
        f"<p:X><Datetime>{wire}</Datetime></p:X>",
        f"<p:X><cim:CIM_DateTime><cim:Datetime>{wire}</cim:Datetime></cim:CIM_DateTime></p:X>",
    ):
        value = moment(holding(read(xml)), "X")
        assert value == expected
        assert value is not None
        assert value.utcoffset() == expected.utcoffset()


@pytest.mark.parametrize(
    "wire",
    [
        "",
        "yesterday",
        "2024-02-30T00:00:00Z",
        "2024-02-29T24:00:00Z",
        "2024-02-29T00:00:60Z",
        "0000-01-01T00:00:00Z",
        "2024-02-29T00:00:00+99:99",
        "2024-02-29 00:00:00",
        "2024-02-29T00:00:00",
        "2024-02-29T00:00:00.123",
        "2024-02-29",
        "00:00:00Z",
        "20240230000000.000000+000",
        "20240229000000.000000",
        "20240229******.******+***",
    ],
)
def test_a_text_that_is_not_a_time_is_refused(wire: str) -> None:
    with pytest.raises(UnexpectedAnswer, match="not a time"):
        read_moment(wire)


@pytest.mark.parametrize(
    "inner",
    [
        "<cim:Date>2019-03-08</cim:Date>",
        "<cim:Time>10:30:00</cim:Time>",
        "<cim:Datetime>20180911124613.128***+***</cim:Datetime>",
        "<cim:Datetime>2019-03-08T10:30:00</cim:Datetime>",
        "<Datetime>0000-00-00T00:00:00Z</Datetime>",
        "<cim:CIM_DateTime><cim:Datetime>soon</cim:Datetime></cim:CIM_DateTime>",
        "<cim:Interval>P1Y</cim:Interval>",
        "<cim:Datetime/>",
    ],
)
def test_a_time_that_says_less_than_one_loses_only_itself(inner: str) -> None:
    found = read_object(element(f"<p:T><p:A>a</p:A><p:X>{inner}</p:X><p:B>b</p:B></p:T>"))

    assert (text(found, "A"), text(found, "B")) == ("a", "b")
    shown = "".join(re.findall(r">([^<]*)<", inner))
    assert text(found, "X") == shown
    if shown:
        with pytest.raises(UnexpectedAnswer, match="not a time"):
            moment(found, "X")


def test_a_reference_that_leads_nowhere_loses_only_itself() -> None:
    wrapped = "<p:X><a:Address>x</a:Address><a:ReferenceParameters/></p:X>"
    found = read_object(element(f"<p:T><p:A>a</p:A>{wrapped}</p:T>"))

    assert text(found, "A") == "a"
    with pytest.raises(UnexpectedAnswer, match="expected text"):
        text(found, "X")


def test_a_time_that_is_nil_inside_its_element_is_none() -> None:
    nil = '<p:X><cim:CIM_DateTime xsi:nil="true"/></p:X>'

    assert read(nil) is None
    assert moment(holding(read("<p:X><cim:CIM_DateTime/></p:X>")), "X") is None


def test_a_time_in_a_string_property_is_read_and_any_other_text_refused() -> None:
    assert moment(holding("20110225134848.000000+000"), "X") == datetime(2011, 2, 25, 13, 48, 48, tzinfo=UTC)
    assert moment(holding(""), "X") is None
    assert moment(holding(" \n"), "X") is None
    assert moment(holding(None), "X") is None
    for wrong in ("soon", "00000001000000.000000:000", ("a", "b"), timedelta(1)):
        with pytest.raises(UnexpectedAnswer, match="time"):
            moment(holding(wrong), "X")


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        ("P0DT0H0M0S", timedelta(0)),
        ("PT7200.000S", timedelta(hours=2)),
        ("PT60S", timedelta(minutes=1)),
        ("P1DT2H3M4.000005S", timedelta(1, 4, 5, minutes=3, hours=2)),
        ("-P1D", timedelta(-1)),
        ("P0Y0M2D", timedelta(2)),
        ("P99999999DT23H59M59S", timedelta(99_999_999, 86_399)),
        ("00000001020304.000005:000", timedelta(1, 4, 5, minutes=3, hours=2)),
        ("99999999235959.999999:000", timedelta(99_999_999, 86_399, 999_999)),
    ],
)
def test_an_interval_is_read_in_both_notations(wire: str, expected: timedelta) -> None:
    assert read_interval(wire) == expected
    assert read(f"<p:X><cim:Interval>{wire}</cim:Interval></p:X>") == expected


@pytest.mark.parametrize(
    "wire", ["", "P", "PT", "-P", "P1DT", "1D", "PT-1S", "P1Y", "P2M", "P1W", "P999999999DT25H", "x"]
)
def test_a_duration_without_a_fixed_length_is_not_an_interval(wire: str) -> None:
    with pytest.raises(UnexpectedAnswer, match="interval"):
        read_interval(wire)


def test_an_interval_in_a_datetime_element_is_read_as_an_interval() -> None:
    assert read("<p:X><cim:Datetime>00000001000000.000000:000</cim:Datetime></p:X>") == timedelta(1)


@given(st.text(max_size=40))
def test_any_text_is_a_time_an_interval_or_unexpected(wire: str) -> None:
    readers: tuple[Callable[[str], datetime | timedelta], ...] = (read_moment, read_interval)
    for reader in readers:
        try:
            assert isinstance(reader(wire), (datetime, timedelta))
        except UnexpectedAnswer:
            continue


@given(
    st.from_regex(
        r"-?P(\d{1,9}Y)?(\d{1,9}M)?(\d{1,9}D)?(T(\d{1,9}H)?(\d{1,9}M)?(\d{1,9}(\.\d{1,9})?S)?)?", fullmatch=True
    )
)
def test_any_duration_is_read_or_unexpected(wire: str) -> None:
    try:
        assert isinstance(read_interval(wire), timedelta)
    except UnexpectedAnswer:
        pass


@given(
    st.from_regex(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?|\d{14}\.\d{6}[+-]\d{3}", fullmatch=True
    )
)
def test_any_digits_in_the_form_of_a_time_are_read_or_unexpected(wire: str) -> None:
    try:
        value = read_moment(wire)
    except UnexpectedAnswer:
        return
    assert isinstance(value, datetime)
    assert value.tzinfo is not None


# -- reading: objects and references -----------------------------------------------------------------------------

ENDPOINT = (
    f"<a:Address>{uris.ANONYMOUS}</a:Address><a:ReferenceParameters><w:ResourceURI>{CLASS.uri}</w:ResourceURI>"
    '<w:SelectorSet><w:Selector Name="Name">a &amp; b</w:Selector><w:Selector Name="Id">1</w:Selector></w:SelectorSet>'
    "</a:ReferenceParameters>"
)
REFERRED = Reference(Resource(CLASS.uri, (("Name", "a & b"), ("Id", "1"))))


@pytest.mark.parametrize("xml", [ENDPOINT, f"<a:EndpointReference>{ENDPOINT}</a:EndpointReference>"])
def test_a_reference_is_read_with_and_without_a_wrapper(xml: str) -> None:
    assert read(f"<p:X>{xml}</p:X>") == REFERRED


def test_an_array_of_references_is_read() -> None:
    assert read(f"<p:X>{ENDPOINT}</p:X><p:X>{ENDPOINT}</p:X>") == (REFERRED, REFERRED)


def test_a_selector_without_a_name_or_a_text_is_read_as_empty() -> None:
    parameters = (
        f"<a:ReferenceParameters><w:ResourceURI>{CLASS.uri}</w:ResourceURI>"
        '<w:SelectorSet><w:Selector Name="A"/><w:Selector>b</w:Selector></w:SelectorSet></a:ReferenceParameters>'
    )

    assert read_endpoint(element(f"<p:X>{parameters}</p:X>")) == Resource(CLASS.uri, (("A", ""), ("", "b")))


def test_a_reference_without_selectors_is_read() -> None:
    parameters = f"<a:ReferenceParameters><w:ResourceURI> {CLASS.uri}\n</w:ResourceURI></a:ReferenceParameters>"

    assert read_endpoint(element(f"<p:X>{parameters}</p:X>")) == CLASS


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "<a:Address>x</a:Address>",
        "<a:ReferenceParameters/>",
        "<a:ReferenceParameters><w:ResourceURI/></a:ReferenceParameters>",
        "<a:ReferenceParameters><w:ResourceURI> \n</w:ResourceURI></a:ReferenceParameters>",
    ],
)
def test_a_reference_without_a_resource_uri_is_refused(xml: str) -> None:
    with pytest.raises(UnexpectedAnswer, match=r"^the endpoint reference has no ResourceURI$"):
        read_endpoint(element(f"<p:X>{xml}</p:X>"))


@pytest.mark.parametrize(
    "xml",
    [
        '<p:X xsi:type="p:Test_Inner_Type"><p:A>1</p:A><p:B>2</p:B></p:X>',
        "<p:X><p:A>1</p:A><p:B>2</p:B></p:X>",
    ],
)
def test_an_embedded_object_is_read_with_its_properties(xml: str) -> None:
    assert read(xml) == Instance("X", {"A": "1", "B": "2"}, CLASS.uri)


def test_an_embedded_object_in_an_element_of_its_own_keeps_the_name_of_its_class() -> None:
    other = f"{CLASS.uri[:-5]}Other"

    assert read(f'<p:X><o:Other xmlns:o="{other}"><o:A>1</o:A></o:Other></p:X>') == Instance("Other", {"A": "1"}, other)


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        ("<p:A>1</p:A>", Instance("X", {"A": "1"}, CLASS.uri)),
        (
            "<p:A><p:B>1</p:B></p:A><p:C>2</p:C>",
            Instance("X", {"A": Instance("A", {"B": "1"}, CLASS.uri), "C": "2"}, CLASS.uri),
        ),
    ],
)
def test_only_an_element_of_its_own_and_with_properties_is_an_embedded_object(xml: str, expected: Instance) -> None:
    assert read(f"<p:X>{xml}</p:X>") == expected


def test_an_object_with_a_type_and_one_object_in_it_keeps_both() -> None:
    inner = Instance("A", {"B": "1"}, CLASS.uri)

    assert read('<p:X xsi:type="p:T"><p:A><p:B>1</p:B></p:A></p:X>') == Instance("X", {"A": inner}, CLASS.uri)


@pytest.mark.parametrize("first", ["Interval", "Address", "Datetime", "Date", "Time", "CIM_DateTime"])
def test_the_name_of_its_first_property_does_not_change_how_an_embedded_object_is_read(first: str) -> None:
    inner = read(f'<p:X xsi:type="p:T"><p:{first}>PT1H</p:{first}><p:Zone>z</p:Zone></p:X>')

    assert inner == Instance("X", {first: "PT1H", "Zone": "z"}, CLASS.uri)


# -- writing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-(2**63), "-9223372036854775808"),
        (2**64 - 1, "18446744073709551615"),
        ("as it is", "as it is"),
        ("", ""),
        (datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC), "2024-02-29T01:02:03Z"),
        (datetime(2024, 2, 29, 1, 2, 3, 40, timezone(timedelta(hours=-5))), "2024-02-29T01:02:03.000040-05:00"),
        (timedelta(1, 4, 5, minutes=3, hours=2), "P1DT2H3M4.000005S"),
        (timedelta(seconds=-90), "-P0DT0H1M30S"),
        (timedelta(0), "P0DT0H0M0S"),
    ],
)
def test_a_scalar_has_one_text(value: Value, written: str) -> None:
    assert wire_text(value) == written


@pytest.mark.parametrize("value", [None, ("a",), Instance("X"), Reference(CLASS), datetime(2024, 1, 1)])
def test_a_value_that_is_not_a_scalar_has_no_wire_text(value: Value) -> None:
    with pytest.raises(ValueError, match=r"not a scalar|no offset"):
        wire_text(value)


@pytest.mark.parametrize("value", [None, ()])
def test_none_and_an_empty_array_are_written_as_nil(value: Value) -> None:
    written = element(write_property("X", value))

    assert written.attrib == {f"{{{uris.XSI}}}nil": "true"}
    assert len(written) == 0


def test_an_array_is_written_as_repeated_elements() -> None:
    assert write_property("X", ("a", 2, True)) == "<p:X>a</p:X><p:X>2</p:X><p:X>true</p:X>"


def test_an_object_in_a_property_declares_a_prefix_of_its_own() -> None:
    inner = Instance("Y", {"A": "1"}, "urn:y")

    assert write_property("X", inner) == '<p:X><o:Y xmlns:o="urn:y"><o:A>1</o:A></o:Y></p:X>'
    assert write_object(inner) == '<p:Y xmlns:p="urn:y"><p:A>1</p:A></p:Y>'


def test_a_reference_is_written_with_address_and_parameters_directly() -> None:
    written = element(write_property("X", REFERRED))

    assert [item.tag for item in written] == [f"{{{uris.ADDRESSING}}}{n}" for n in ("Address", "ReferenceParameters")]
    assert [(item.get("Name"), item.text) for item in written.iter(f"{{{uris.WSMAN}}}Selector")] == [
        ("Name", "a & b"),
        ("Id", "1"),
    ]


def test_a_resource_without_selectors_has_no_selector_set() -> None:
    assert write_selectors(CLASS) == ""


@pytest.mark.parametrize("name", ["", "a b", "1a", "a>", "p:a", "a/>", "<a", "ä", "a\n", "a&"])
def test_an_invalid_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a name"):
        write_property(name, "x")
    with pytest.raises(ValueError, match="is not a name"):
        write_object(Instance(name, {}, CLASS.uri))


@pytest.mark.parametrize("bad", ["\0", "\x1b", "\x0b", "\ud800", "\uffff"])
def test_a_control_character_is_refused_wherever_it_is_written(bad: str) -> None:
    value = f"a{bad}b"
    writers: tuple[Callable[[], str], ...] = (
        lambda: write_property("X", value),
        lambda: write_property("X", ("fine", value)),
        lambda: write_property("X", Instance("Y", {"A": value}, CLASS.uri)),
        lambda: write_property("X", Reference(Resource(CLASS.uri, (("Name", value),)))),
        lambda: write_selectors(Resource(CLASS.uri, (("Name", value),))),
        lambda: write_selectors(Resource(CLASS.uri, ((value, "Name"),))),
        lambda: write_object(Instance("Y", {}, value)),
    )
    for write in writers:
        with pytest.raises(ValueError, match=f"U\\+{ord(bad):04X}"):
            write()


# -- round trips -------------------------------------------------------------------------------------------------


@given(VALUES)
def test_a_value_comes_back_as_it_was_written(value: Value) -> None:
    assert read(write_property("X", value)) == on_the_wire(value)


@given(st.integers(-(2**63), 2**64 - 1))
def test_an_integer_comes_back_by_its_type(value: int) -> None:
    assert integer(holding(read(write_property("X", value))), "X") == value


@given(st.lists(st.integers(0, 255), max_size=20).map(tuple))
def test_bytes_come_back_as_an_array_of_numbers(value: tuple[int, ...]) -> None:
    assert integers(holding(read(write_property("X", value))), "X") == value


@given(st.booleans())
def test_a_boolean_comes_back_by_its_type(value: bool) -> None:
    assert boolean(holding(read(write_property("X", value))), "X") is value


@given(MOMENTS)
def test_a_time_comes_back_to_the_microsecond_with_its_offset(value: datetime) -> None:
    read_back = read_moment(wire_text(value))

    assert isinstance(read_back, datetime)
    assert (read_back, read_back.utcoffset()) == (value, value.utcoffset())


@given(INTERVALS)
def test_an_interval_comes_back_to_the_microsecond(value: timedelta) -> None:
    assert read_interval(format_interval(value)) == value


@given(NAMES, st.dictionaries(NAMES, VALUES, max_size=5))
def test_an_object_comes_back_with_its_class_and_properties(name: str, properties: dict[str, Value]) -> None:
    written = write_object(Instance(name, properties, CLASS.uri))

    assert read_object(element(written)) == Instance(
        name, {key: on_the_wire(value) for key, value in properties.items()}, CLASS.uri
    )


@given(NAMES, st.dictionaries(NAMES, WIRE_TEXT, min_size=1, max_size=4))
def test_an_embedded_object_comes_back_inside_its_property(name: str, properties: dict[str, str]) -> None:
    inner = Instance(name, properties, CLASS.uri)

    assert read(write_property("X", inner)) == inner


@given(RESOURCES)
def test_selectors_are_what_an_independent_parser_reads(resource: Resource) -> None:
    found = element(write_selectors(resource))

    assert tuple((item.get("Name"), item.text or "") for item in found) == resource.selectors
