"""A provisioning package from a short description.

    package(Description("{...}", "Kiosks", settings=[Setting("Policies/Start/HidePowerButton", "Yes", "1")]))

It makes what Windows Configuration Designer makes: the source (``customizations.xml``), the answer file, the compiled
``provxml`` by stage, the assets and the indexes of them. Each thing that the designer would work out can be given
otherwise, so that packages that contradict themselves can be made too.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from provmode.lab.packages.image import Content, filetime, image_bytes, write_image

OWNERS = ("Microsoft", "SiliconVendor", "OEM", "SystemIntegrator", "MobileOperator", "ITAdmin")
"""From the weakest to the strongest."""
MADE = dt.datetime(2026, 3, 2, 9, 30, tzinfo=dt.timezone.utc)
_PACKAGE_CONFIG = "urn:schemas-Microsoft-com:Windows-ICD-Package-Config.v1.0"
_PROVISIONING = "urn:schemas-microsoft-com:windows-provisioning"
_DECLARATION = '\ufeff<?xml version="1.0" encoding="utf-8"?>\r\n'
_SEGMENT = re.compile(r"([^/\[\]]+)(?:\[([^\]=]+)=([^\]]*)\])?(?:/|$)")


@dataclass(frozen=True)
class Setting:
    """A setting. Members of lists have their identity in brackets: ``Accounts/Users/User[UserName=kim]/Password``."""

    path: str
    value: str = ""
    compiled: str | None = None
    """The value as it is compiled, if it is another: ``1`` for ``Yes``."""
    stage: str = "RunTime"
    compiled_path: str | None = None
    """The CSP path if it is not the usual one; empty for a setting that is not compiled."""


@dataclass(frozen=True)
class Condition:
    """One condition of a target state: ``Condition("Mcc", "311")``."""

    name: str
    value: str


@dataclass(frozen=True)
class Variant:
    """Settings under conditions."""

    id: str
    states: Sequence[Sequence[Condition]]
    """One of these states has to hold, and of a state all conditions."""
    settings: Sequence[Setting]
    kind: str = "Variant"
    """The other kind is ``Profile``."""


@dataclass(frozen=True)
class Asset:
    """A file that a package brings along, and the setting that names it."""

    setting: str
    """``ProvisioningCommands/DeviceContext/CommandFiles``."""
    name: str
    content: Content
    folder: str | None = None
    """Its folder in the package if it is not number and hash."""


@dataclass(frozen=True)
class Description:
    """A package."""

    id: str
    name: str
    version: str = "1.0"
    owner: str = "ITAdmin"
    rank: int | str = 0
    notes: str | None = ""
    description: str | None = None
    settings: Sequence[Setting] = ()
    variants: Sequence[Variant] = ()
    assets: Sequence[Asset] = ()
    made: dt.datetime = MADE
    altitude: int | str | None = None
    """If it is not what owner and rank come to."""
    image: Mapping[str, str | None] = field(default_factory=dict)
    """Elements of the image's XML that are other than they should be; ``None`` leaves one out."""
    designer: Mapping[str, str] | None = field(default_factory=dict)
    """Of the designer's notes, what is other than usual: ``{"EncryptPackage": "True"}``; ``None`` leaves them out."""
    files: Mapping[str, Content | None] = field(default_factory=dict)
    """Files beside or instead of the usual ones; ``None`` leaves one out."""
    root: str = "WindowsCustomizations"
    header: Mapping[int, bytes] = field(default_factory=dict)
    """Bytes of the header that are other than they should be, by their place."""


def command(
    name: str, line: str, *, number: int = 0, file: str = "", context: str = "PrimaryContext", **more: str
) -> list[Setting]:
    """Return the settings of a package's command of a number; *more* are its others: ``RestartRequired="True"``."""
    place, compiled = "ProvisioningCommands/DeviceContext", "ProvisioningCommands/DeviceContext/$(__PackageID)"
    if context == "PrimaryContext":
        place = f"ProvisioningCommands/PrimaryContext/Command/CommandConfig[Name={name}]"
        compiled = f"ProvisioningCommands/PrimaryContext/$(__PackageID)/{number}"
    values = {"CommandLine": line, **({"CommandFile": file} if file else {}), **more}
    return [Setting(f"{place}/{key}", value, compiled_path=f"{compiled}/{key}") for key, value in values.items()]


def package(description: Description) -> bytes:
    """Return the bytes of a package."""
    data = image_bytes(package_files(description), _image_xml(description), when=filetime(description.made))
    for at, changed in description.header.items():
        data = data[:at] + changed + data[at + len(changed) :]
    return data


def write_package(path: Path, description: Description) -> None:
    """Write a package that is too large for memory."""
    write_image(path, package_files(description), _image_xml(description), when=filetime(description.made))
    with path.open("r+b") as stream:
        for at, changed in description.header.items():
            stream.seek(at)
            stream.write(changed)


def package_files(description: Description) -> dict[str, Content]:
    """Return the files of a package by their paths."""
    files: dict[str, Content] = {
        "CommonSettings/CommonSettings.xml": _index("CommonSettings", 1),
        "CommonSettings/1/AnswerFile.xml": _answer_file(description),
        "Multivariant/Multivariant.xml": _index("Multivariant", 0),
        "Multivariant/0/customizations.xml": _customizations(description),
        **_assets(description),
        **_compiled(description),
    }
    files.update({path: content for path, content in description.files.items() if content is not None})
    return {path: content for path, content in files.items() if description.files.get(path, b"") is not None}


# -- the source ---------------------------------------------------------------------------------------------------


def _customizations(description: Description) -> bytes:
    fields = {
        "ID": description.id,
        "Name": description.name,
        "Version": description.version,
        "OwnerType": description.owner,
        "Rank": str(description.rank),
        "Notes": description.notes,
        "Description": description.description,
    }
    config = "".join(_element(name, value) for name, value in fields.items() if value is not None)
    targets, variants = "", ""
    for variant in description.variants:
        states = "".join(
            "<TargetState>"
            + "".join(f"<Condition Name={quoteattr(each.name)} Value={quoteattr(each.value)} />" for each in state)
            + "</TargetState>"
            for state in variant.states
        )
        targets += f"<Target Id={quoteattr(variant.id)}>{states}</Target>"
        variants += (
            f"<{variant.kind} Name={quoteattr(variant.id)}><TargetRefs><TargetRef Id={quoteattr(variant.id)} />"
            f"</TargetRefs><Settings>{_nested(variant.settings)}</Settings></{variant.kind}>"
        )
    parts = f"<Common>{_nested(description.settings)}</Common>"
    parts += f"<Targets>{targets}</Targets>{variants}" if variants else ""
    return (
        f"{_DECLARATION}<{description.root}><PackageConfig xmlns={quoteattr(_PACKAGE_CONFIG)}>{config}</PackageConfig>"
        f"<Settings xmlns={quoteattr(_PROVISIONING)}><Customizations>{parts}</Customizations></Settings>"
        f"</{description.root}>"
    ).encode()


def _answer_file(description: Description) -> bytes:
    return (
        f"{_DECLARATION}<Settings xmlns={quoteattr(_PROVISIONING)}><Customizations>"
        f"<Common>{_nested(description.settings)}</Common></Customizations></Settings>"
    ).encode()


def _segments(path: str) -> list[tuple[str, str, str]]:
    return [(name, key, value) for name, key, value in _SEGMENT.findall(path)]


def _nested(settings: Sequence[Setting]) -> str:
    """Return settings as nested elements; those with the same beginning share it."""
    return _level([(_segments(setting.path), setting.value) for setting in settings])


def _level(rows: Sequence[tuple[list[tuple[str, str, str]], str]]) -> str:
    groups: dict[tuple[str, str, str], list[tuple[list[tuple[str, str, str]], str]]] = {}
    made = ""
    for (first, *rest), value in rows:
        if rest:
            groups.setdefault(first, []).append((rest, value))
        else:
            made += _element(first[0], value, _identity(first))
    for first, below in groups.items():
        made += f"<{first[0]}{_identity(first)}>{_level(below)}</{first[0]}>"
    return made


def _identity(segment: tuple[str, str, str]) -> str:
    _, key, value = segment
    if not key:
        return ""
    return f" {key}={quoteattr(value)}" + ("" if key == "Name" else f" Name={quoteattr(value)}")


def _element(name: str, value: str, attributes: str = "") -> str:
    return f"<{name}{attributes}>{escape(value)}</{name}>"


# -- what is compiled from it ---------------------------------------------------------------------------------------


def _compiled(description: Description) -> dict[str, Content]:
    files: dict[str, Content] = {}
    sets: dict[str, str] = {}
    for number, (setting, variant) in enumerate(_all_settings(description)):
        if setting.compiled_path == "":
            continue
        shown = _plain(setting.path)
        if "/CommandConfig/" in shown:  # the designer has its number there
            shown = shown.replace("CommandConfig", _compiled_path(setting).split("/")[-2])
        name = f"{number}__{re.sub(r'[^A-Za-z0-9]+', '_', shown)}.provxml"
        files[f"Multivariant/0/Prov/{setting.stage}/{name}"] = _provxml(setting)
        group = hashlib.sha256(_plain(setting.path).encode()).hexdigest()
        start = (
            f'<ConfigurationSet Type="provxml" SettingsGroup="{group[:8]}-{group[8:12]}-5{group[13:16]}-'
            f'8{group[17:20]}-{group[20:32]}" Data="$(_prov)\\{setting.stage}\\{name}"'
        )
        for state in variant.states if variant else [()]:
            conditions = "".join(f" {each.name}={quoteattr(each.value)}" for each in state)
            sets[setting.stage] = sets.get(setting.stage, "") + f"{start}{conditions} />"
    for stage, text in sets.items():
        files[f"Multivariant/0/Prov/{stage}.xml"] = (
            f'{_DECLARATION}<ConfigurationSource Version="1.0">{text}</ConfigurationSource>'
        ).encode()
    sources = "".join(
        f'<ConfigurationSource Name="{stage}" Path="$(_prov)\\{stage}.xml"><EventList><Event Name="{stage}" />'
        "</EventList></ConfigurationSource>"
        for stage in sets
    )
    files["Multivariant/0/MasterDatastore.xml"] = (
        f'{_DECLARATION}<ConfigurationSourceList Version="1.0">{sources}</ConfigurationSourceList>'
    ).encode()
    return files


def _all_settings(description: Description) -> Iterator[tuple[Setting, Variant | None]]:
    yield from ((setting, None) for setting in description.settings)
    for variant in description.variants:
        yield from ((setting, variant) for setting in variant.settings)


def _plain(path: str) -> str:
    """Return a path without identities."""
    return "/".join(name for name, _, _ in _segments(path))


def _provxml(setting: Setting) -> bytes:
    *folders, leaf = _compiled_path(setting).split("/")
    value = setting.value if setting.compiled is None else setting.compiled
    kind = "integer" if value.isdigit() else "string"
    scope = ' scope="User"' if setting.stage.startswith("User") else ""
    opening = "".join(
        f"<characteristic type={quoteattr(folder)}{'' if number else scope}>" for number, folder in enumerate(folders)
    )
    return (
        '\ufeff<?xml version="1.0" encoding="utf-8" standalone="yes"?>\r\n<wap-provisioningdoc>'
        f"{opening}<parm SettingsPath={quoteattr(_plain(setting.path))} name={quoteattr(leaf)} "
        f'value={quoteattr(value)} datatype="{kind}" />{"</characteristic>" * len(folders)}</wap-provisioningdoc>'
    ).encode()


def _compiled_path(setting: Setting) -> str:
    """Return where a setting goes, usually: policies below Policy/Config, list members below their identity."""
    if setting.compiled_path:
        return setting.compiled_path
    segments = _segments(setting.path)
    if segments[0][0] == "Policies":
        return "/".join(["Policy", "Config", *(name for name, _, _ in segments[1:])])
    return "/".join(value or name for name, _, value in segments)


# -- assets -------------------------------------------------------------------------------------------------------


def asset_folder(number: int, content: bytes) -> str:
    """Return the name of an asset's folder: its number, and its SHA-256 in base64 with ``.`` for ``/``."""
    return f"{number}_{base64.b64encode(hashlib.sha256(content).digest()).decode().replace('/', '.')}"


def _assets(description: Description) -> dict[str, Content]:
    if not description.assets:
        return {}
    files: dict[str, Content] = {}
    entries = ""
    for number, asset in enumerate(description.assets):
        folder = asset.folder
        if folder is None:
            folder = asset_folder(number, asset.content) if isinstance(asset.content, bytes) else f"{number}_large"
        files[f"DataAsset/2/{folder}/{asset.name}"] = asset.content
        key, value = quoteattr(f"{folder}\\{asset.name}"), quoteattr(f"/{asset.setting}")
        entries += f"<Metadata Key={key} Value={value} />"
    leaf = description.assets[0].setting.rsplit("/", 1)[-1]
    index = f'<Element Index="2"><Metadata Key="Name" Value={quoteattr(leaf)} />{entries}</Element>'
    declaration = '<?xml version="1.0" encoding="UTF-8"?>\r\n'
    return {"DataAsset/DataAsset.xml": f'{declaration}<Elements Type="DataAsset">{index}</Elements>'.encode(), **files}


def _index(kind: str, number: int) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\r\n<Elements Type="{kind}">\r\n  <Element Index="{number}">\r\n'
        "  </Element>\r\n</Elements>\r\n"
    ).encode()


# -- the image's own XML ----------------------------------------------------------------------------------------------


def _image_xml(description: Description) -> str:
    owner, rank = description.owner, description.rank
    number = int(rank) if str(rank).isascii() and str(rank).isdigit() else 0
    worked_out = OWNERS.index(owner) * 1000 + number if owner in OWNERS else 0
    designer = {
        "VERSION": "2025.416.0.0",
        "Source": "CLI",
        "TargetSkus": "Desktop",
        "EncryptPackage": "False",
        "SignPackage": "False",
        "PackageID": description.id.strip("{}"),
        **(description.designer or {}),
    }
    when = filetime(description.made)
    time = f"<HIGHPART>0x{when >> 32:08X}</HIGHPART><LOWPART>0x{when & 0xFFFFFFFF:08X}</LOWPART>"
    elements: dict[str, str | None] = {
        "NAME": escape(description.name),
        "DESCRIPTION": escape(description.description or ""),
        "NOTES": escape("".join(f"{key}={value};" for key, value in designer.items())),
        "AUTHOR": "",
        "VERSION": escape(description.version),
        "ALTITUDE": str(worked_out if description.altitude is None else description.altitude),
        "RESETCLEAR": "0",
        "PACKAGEID": escape(description.id),
        "CREATIONTIME": time,
        "LASTMODIFICATIONTIME": time,
        **{name: value if value is None else escape(value) for name, value in description.image.items()},
    }
    if description.designer is None:
        elements["NOTES"] = None
    body = "".join(f"<{name}>{value}</{name}>" for name, value in elements.items() if value is not None)
    return f'<IMAGE INDEX="1">{body}</IMAGE>'
