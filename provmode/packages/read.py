"""Reads a package: everything that is worth knowing of one file. No secret leaves this module but as a mark."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from provmode.packages.commands import commands_of, not_in_source
from provmode.packages.compiled import read_compiled, stage_of
from provmode.packages.container import Container, Signature, Source, open_container
from provmode.packages.contradictions import contradictions, of_compiled, of_signature, of_source
from provmode.packages.customizations import Raw, read_answer_file, read_source
from provmode.packages.errors import PackageUnreadable, Unreadable, damaged
from provmode.packages.findings import Finding, places
from provmode.packages.image import Image, normal_id, number, read_image
from provmode.packages.matching import match
from provmode.packages.model import TOKEN_LIFE, Asset, Holds, Metadata, Package, Secret, Setting, Stage, Token
from provmode.packages.secret_places import SecretPlaces
from provmode.packages.secrets import is_macro
from provmode.packages.xml import read_xml
from provmode.reading import Known

_SOURCE = re.compile(r"multivariant/\d+/customizations\.xml", re.IGNORECASE)
_ASSET = re.compile(r"dataasset/\d+/\d+_(?P<hash>[A-Za-z0-9+.]{43}=?)/[^/]+", re.IGNORECASE)
_OURS = ("multivariant/", "commonsettings/", "dataasset/dataasset.xml")
_SCRIPTS = (
    *(".ps1", ".psm1", ".psd1", ".bat", ".cmd", ".vbs", ".js", ".wsf", ".reg", ".xml", ".json", ".ini", ".inf"),
    *(".txt", ".config", ".conf", ".cfg", ".yml", ".yaml", ".py", ".sh", ".csv", ".psc1", ".rdp", ".url", ".hta"),
)
MAX_SCRIPT = 256 * 1024
"""Bytes of a file that is looked through for secrets."""
MAX_SCRIPTS = 512 * 1024
"""Bytes of all those files together."""


def read_package(source: Source, *, signature: bool = True, key: bytes = b"") -> Package:
    """Return what is in a package.

    Whether it is as it was signed needs every byte of it. Without *signature* only the few that are needed for the rest
    are read, and if it is signed, then whether it is intact is not told.

    *key* is a random one of this process. With it, two packages can be told to hold the same secrets, or others;
    without it they cannot.

    Raises:
        PackageUnreadable: it cannot be read: what is in it could not be told.
    """
    container = open_container(source)
    image = read_image(container.xml)
    if image.flag("encryptpackage"):
        raise PackageUnreadable(
            Unreadable.ENCRYPTED,
            "the package says that it is encrypted; what is in it cannot be told",
            next_step="look at the project that it was built from",
        )
    signed = container.signature(every_byte=signature)
    try:
        return _Reader(container, image, signed, key).package()
    except PackageUnreadable as error:
        if error.cause is Unreadable.DAMAGED and signed.intact == Known(False):
            raise damaged(f"{error.what.partition(': ')[2]}; it is signed, and was changed after that") from None
        raise


class _Reader:
    def __init__(self, container: Container, image: Image, signature: Signature, key: bytes) -> None:
        self.container, self.image, self.signature, self.key = container, image, signature, key
        self.sources = sorted(path for path in container.files if _SOURCE.fullmatch(path))
        if not self.sources:
            raise damaged("there is no customizations.xml in it")
        path = self.sources[0]
        self.source = read_source(read_xml(container.content(path), path))
        self.compiled = read_compiled(container, path.rsplit("/", 1)[0])
        self.matches = match(self.source.settings, self.compiled)
        self.answers = self.answer_file()
        self.secrets = SecretPlaces(self.source.settings, self.answers, self.compiled, self.matches)

    def package(self) -> Package:
        metadata = self.metadata()
        assets, found = self.assets()
        commands = commands_of(self.source.settings, self.compiled.parameters, self.secrets.masked, self.mark)
        strange = [each.place for each in not_in_source(self.source.settings, self.compiled.parameters)]
        image = replace(self.image, name=self.secrets.masked(self.image.name)[0])
        findings = (
            *contradictions(metadata, image, self.container, self.source, self.sources),
            *of_signature(metadata, self.signature),
            *of_source(self.source),
            *of_compiled(self.source, self.answers, self.compiled, self.matches, strange),
            *found,
        )
        secrets = self.secrets.secrets(self.mark)
        return Package(
            metadata,
            self.container.source.size,
            len(self.container.files),
            tuple(self.setting(number, raw) for number, raw in enumerate(self.source.settings)),
            commands,
            assets,
            secrets,
            tuple(_tokens(metadata, secrets)),
            self.compiled.stages,
            self.signature,
            tuple({(each.code, each.text): each for each in findings}.values()),
        )

    def answer_file(self) -> tuple[Raw, ...]:
        path = next((path for path in self.container.files if path.lower() == "commonsettings/1/answerfile.xml"), None)
        return read_answer_file(read_xml(self.container.content(path), path)) if path else ()

    def mark(self, value: str) -> bytes:
        return hmac.new(self.key, value.encode("utf-8", "surrogatepass"), hashlib.sha256).digest() if self.key else b""

    # -- the parts ------------------------------------------------------------------------------------------------

    def metadata(self) -> Metadata:
        config, image = self.source.config, self.image
        rank = config.get("Rank", "")
        return Metadata(
            id=normal_id(config.get("ID", "")),
            name=self.secrets.masked(config.get("Name", ""))[0],
            version=config.get("Version", ""),
            owner=config.get("OwnerType", ""),
            rank=number(rank) if rank else 0,
            notes=self.secrets.masked(config.get("Notes", ""))[0],
            description=self.secrets.masked(config.get("Description", "") or image.description)[0],
            author=self.secrets.masked(image.author)[0],
            altitude=number(image.altitude),
            created=image.created,
            modified=image.modified,
            designer=image.notes.get("version", ""),
            made_by=image.notes.get("source", ""),
            target_skus=image.notes.get("targetskus", ""),
            encrypt_package=image.flag("encryptpackage"),
            sign_package=image.flag("signpackage"),
        )

    def setting(self, index: int, raw: Raw) -> Setting:
        text = raw.value.strip()
        name = self.matches.stage.get(index, "")
        if not name and len(self.compiled.stages) == 1:
            name = self.compiled.stages[0]
        stage = stage_of(name) if name else Stage.UNKNOWN
        if not text:
            return Setting(raw.steps, Holds.EMPTY, "", stage, name, raw.when)
        if raw.secret and not is_macro(text):
            return Setting(raw.steps, Holds.SECRET, "", stage, name, raw.when, mark=self.mark(raw.value))
        shown, _ = self.secrets.masked(text)
        holds = Holds.MACRO if raw.secret else Holds.VALUE
        hidden = shown != text
        return Setting(
            *(raw.steps, holds, shown, stage, name, raw.when),
            masked=hidden,
            mark=self.mark(raw.value) if hidden else b"",
        )

    def assets(self) -> tuple[tuple[Asset, ...], list[Finding]]:
        """Return the assets; small scripts among them are looked through for secrets."""
        left, wrong, assets = MAX_SCRIPTS, [], []
        unread = list(self.secrets.unread)
        for path, entry in self.container.files.items():
            if path.lower().startswith(_OURS):
                continue
            told = _ASSET.fullmatch(path)
            claimed = _sha256(told["hash"]) if told else ""
            matches = None
            if path.lower().endswith(_SCRIPTS):
                if entry.size <= min(MAX_SCRIPT, left):
                    left -= entry.size
                    data = self.container.content(path, MAX_SCRIPT)
                    matches = hashlib.sha256(data).hexdigest() == claimed if claimed else None
                    self.secrets.look_through(path, _text(data))
                else:
                    unread.append(path)
            if matches is False:
                wrong.append(path)
            assets.append(Asset(path, path.rsplit("/", 1)[-1], entry.size, claimed, entry.sha1, matches))
        found = [Finding("not-scanned", f"not looked through for secrets: {places(unread)}")] if unread else []
        found += [Finding("asset-hash-differs", f"other files than their names say: {places(wrong)}")] if wrong else []
        return tuple(assets), found


def _tokens(metadata: Metadata, secrets: Iterable[Secret]) -> Iterator[Token]:
    for each in secrets:
        if each.kind == "bulk token":
            yield Token(each.place, metadata.created + TOKEN_LIFE if metadata.created else None)


def _sha256(text: str) -> str:
    """Return the SHA-256 in the name of an asset's folder: base64 with ``.`` for ``/``."""
    try:
        digest = base64.b64decode(text.rstrip("=").replace(".", "/") + "=", validate=True)
    except ValueError:
        return ""
    return digest.hex() if len(digest) == hashlib.sha256().digest_size else ""


def _text(data: bytes) -> str:
    for beginning, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if data.startswith(beginning):
            return data[2:].decode(encoding, "replace")
    if data[1:2] == b"\0":
        return data.decode("utf-16-le", "replace")
    return data.decode("utf-8", "replace")
