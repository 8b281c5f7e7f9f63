"""Whatever the XML in a package is, it is read or refused, in bounded work and with no other error."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.lab.packages.writer import Condition, Description, Setting, Variant, command, package
from provmode.packages.container import of_bytes
from provmode.packages.document import package_document
from provmode.packages.errors import PackageUnreadable, Unreadable
from provmode.packages.lint import lint
from provmode.packages.model import Package
from provmode.packages.read import read_package
from provmode.packages.secrets import MASK
from provmode.text import json_text

Describe = Callable[..., Description]
SOURCE = "Multivariant/0/customizations.xml"
NAMES = (
    *("WindowsCustomizations", "PackageConfig", "ID", "Rank", "OwnerType", "Settings", "Customizations", "Common"),
    *("Targets", "Target", "TargetState", "Condition", "Variant", "Profile", "TargetRefs", "TargetRef", "Password"),
    *("ProvisioningCommands", "DeviceContext", "CommandLine", "CommandConfig", "CommandFile", "Policies", "User"),
    *("ConfigurationSourceList", "ConfigurationSource", "ConfigurationSet", "wap-provisioningdoc", "characteristic"),
    *("parm", "IMAGE", "NOTES", "CREATIONTIME", "HIGHPART", "LOWPART"),
)
ATTRIBUTES = ("Id", "Name", "Value", "Data", "Path", "type", "name", "value", "SettingsPath", "datatype", "UserName")
TEXTS = st.one_of(
    st.sampled_from(["", "0", "-1", "99999999999", "True", "{", "$(_prov)\\RunTime\\x", "../..", "net user a b /add"]),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
)


def element(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return elements with these below them."""
    return st.builds(
        lambda name, attributes, below: "".join(
            [f"<{name}", *(f" {key}={quoteattr(told)}" for key, told in attributes.items()), ">", *below, f"</{name}>"]
        ),
        st.sampled_from(NAMES),
        st.dictionaries(st.sampled_from(ATTRIBUTES), TEXTS, max_size=3),
        st.lists(children, max_size=5),
    )


DOCUMENTS = st.recursive(TEXTS.map(escape), element, max_leaves=30)
FILES = st.sampled_from(
    [
        *(SOURCE, "CommonSettings/1/AnswerFile.xml", "Multivariant/0/MasterDatastore.xml"),
        *("Multivariant/0/Prov/RunTime.xml", "Multivariant/0/Prov/RunTime/0__Policies_Start_X.provxml"),
    ]
)


def read(data: bytes) -> Package | None:
    """Return what is read, after everything that can be told of it was told; ``None`` if it is refused."""
    try:
        found = read_package(of_bytes(data))
    except PackageUnreadable:
        return None
    json_text(package_document(found, lint(found)))
    return found


def whole(describe: Describe, **told: object) -> Description:
    """Return a package with something of everything."""
    settings = [
        Setting("Policies/Start/X", "1"),
        Setting("Accounts/Users/User[UserName=kim]/Password", "hunter2"),
        *command("a", "a.exe"),
    ]
    variant = Variant("sim", [[Condition("Mcc", "311")]], [Setting("Policies/Start/X", "2")])
    return describe(settings=settings, variants=[variant], **told)


@given(path=FILES, root=element(DOCUMENTS))
def test_any_xml_in_a_package_is_read_or_refused(path: str, root: str, described: Describe) -> None:
    read(package(whole(described, files={path: root.encode("utf-8", "replace")})))


@given(below=st.lists(DOCUMENTS, max_size=5))
def test_any_settings_are_read_or_refused(below: list[str], described: Describe) -> None:
    common = "".join(below)
    source = (
        "<WindowsCustomizations><PackageConfig><ID>1</ID></PackageConfig><Settings><Customizations>"
        f"<Common>{common}</Common></Customizations></Settings></WindowsCustomizations>"
    )
    read(package(whole(described, files={SOURCE: source.encode("utf-8", "replace")})))


@given(image=st.dictionaries(st.sampled_from(["NOTES", "ALTITUDE", "PACKAGEID", "CREATIONTIME", "NAME"]), TEXTS))
def test_any_metadata_of_the_container_is_read_or_refused(image: dict[str, str], described: Describe) -> None:
    read(package(whole(described, image=image)))


@given(at=st.integers(0, 100_000), changed=st.binary(min_size=1, max_size=4))
def test_a_damaged_package_is_read_or_refused(at: int, changed: bytes, described: Describe) -> None:
    data = package(whole(described))
    at %= len(data)
    read(data[:at] + changed + data[at + len(changed) :])


@given(
    identity=st.text(
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="[]=/"), min_size=1, max_size=20
    ),
    value=TEXTS,
)
def test_a_setting_is_read_as_it_was_written(identity: str, value: str, described: Describe) -> None:
    made = read(package(described(settings=[Setting(f"ConnectivityProfiles/X[SSID={identity}]/Y", value)])))

    assert made is not None
    assert made.settings[0].steps[1].identity == f"SSID={identity}"
    assert made.settings[0].value == value.strip() or made.settings[0].masked


def source(common: str) -> bytes:
    """Return a source with these settings."""
    return (
        "<WindowsCustomizations><PackageConfig><ID>1</ID></PackageConfig><Settings><Customizations>"
        f"<Common>{common}</Common></Customizations></Settings></WindowsCustomizations>"
    ).encode()


LONG, PARM = "N" * 100_000, '<parm name="a" value="1" />'
COSTLY: dict[str, dict[str, bytes]] = {
    "a long name above many settings": {SOURCE: source(f"<{LONG}>{'<a>1</a>' * 1000}</{LONG}>")},
    "a long identity above many settings": {SOURCE: source(f'<A SSID="{LONG}">{"<a>1</a>" * 1000}</A>')},
    "a long name above many compiled values": {
        "Multivariant/0/Prov/RunTime/0__A.provxml": (
            f'<wap-provisioningdoc><characteristic type="{LONG}">{PARM * 1000}</characteristic></wap-provisioningdoc>'
        ).encode()
    },
    "very many compiled values": {
        f"Multivariant/0/Prov/RunTime/{number}__A.provxml": (
            f"<wap-provisioningdoc>{PARM * 11_000}</wap-provisioningdoc>"
        ).encode()
        for number in range(5)
    },
}


@pytest.mark.parametrize("case", COSTLY)
def test_what_would_cost_more_than_its_size_is_refused(case: str, described: Describe) -> None:
    with pytest.raises(PackageUnreadable) as error:
        read_package(of_bytes(package(described(files=COSTLY[case]))))

    assert error.value.cause is Unreadable.TOO_LARGE


@pytest.mark.parametrize(
    "common",
    [
        "<A>net user kim Canary-7f3!x " + "password " * 10_000 + "</A>",
        "".join(
            f"<A{number}>net user kim Canary-7f3!x{number} {'password ' * 1000}</A{number}>" for number in range(100)
        ),
    ],
    ids=["one", "many"],
)
def test_a_text_that_is_too_long_to_be_looked_through_is_not_shown(common: str, described: Describe) -> None:
    found = read(package(described(files={SOURCE: source(common)})))

    assert found is not None
    assert found.settings[-1].value == MASK
    assert "not-scanned" in {each.code for each in found.findings}
    assert "Canary" not in json_text(package_document(found))


def test_very_many_secrets_are_told_in_time_that_grows_with_them(described: Describe) -> None:
    def cost(count: int) -> float:
        settings = [Setting(f"Accounts/Users/User[UserName=u{n}]/Password", f"secret {n}") for n in range(count)]
        data = package(described(settings=settings))
        started = process_time()
        assert len(read_package(of_bytes(data)).secrets) == count
        return process_time() - started

    assert cost(1600) < 20 * cost(200) + 0.5
