"""``DISM``: its two verbs for provisioning packages.

Source: Microsoft, "DISM Provisioning Package (.ppkg) Command-Line Options". A code of Win32 is shown and returned as
its number, any other HRESULT as it is. The layout of ``/Get-ProvisioningPackageInfo`` is not documented: it is assumed.
"""

from __future__ import annotations

from provmode.lab.windows.cmd.texts import message
from provmode.lab.windows.provisioning import ProvisioningFailed
from provmode.lab.windows.session import Session

INVALID_PARAMETER, NOT_SUPPORTED = 87, 50
_TEXTS = {2: "file-not-found", 3: "path-not-found", 5: "access-denied"}
_OPTIONS = {
    *("online", "image", "add-provisioningpackage", "get-provisioningpackageinfo", "packagepath", "catalogpath"),
    *("quiet", "norestart", "english", "logpath", "loglevel", "scratchdir"),
}


def dism(session: Session, words: list[str]) -> int:
    """Run ``DISM`` with these arguments."""
    options = _options(words)
    unknown = next((name for name in options if name not in _OPTIONS), None)
    quiet = "quiet" in options
    if not quiet:
        session.print(message(session.pc, "dism-head", f"{session.pc.os_version}.1"))
    if unknown is not None:
        return _fail(session, INVALID_PARAMETER, message(session.pc, "dism-option", unknown), quiet=quiet)
    verbs = {"add-provisioningpackage", "get-provisioningpackageinfo"} & set(options)
    path = options.get("packagepath", "")
    if len(verbs) != 1 or not path or "online" not in options:
        return _fail(session, INVALID_PARAMETER, message(session.pc, "syntax"), quiet=quiet)
    if not quiet:
        session.print(message(session.pc, "dism-image", f"{session.pc.os_version}.4317"))
    if session.pc.packages is None:
        return _fail(session, NOT_SUPPORTED, message(session.pc, "dism-code"), quiet=quiet)
    try:
        catalog = options.get("catalogpath")
        if catalog and session.pc.files.get(session.path(catalog)) is None:
            raise ProvisioningFailed(0x80070002)
        if verbs == {"add-provisioningpackage"}:
            session.pc.packages.add(session.pc, session.path(path))
        else:
            found = session.pc.packages.facts(session.pc, session.path(path))
            session.print(
                f"PackageID : {found.id}\r\nName : {found.name}\r\nVersion : {found.version}\r\n"
                f"OwnerType : {found.owner}\r\nRank : {found.rank}\r\n\r\n"
            )
    except ProvisioningFailed as error:
        number = error.code & 0xFFFF if error.code >> 16 == 0x8007 else error.code
        text = message(session.pc, _TEXTS.get(number, "dism-code"))
        return _fail(session, number, text, quiet=quiet)
    if not quiet:
        session.print(message(session.pc, "reg-done"))
    return 0


def _options(words: list[str]) -> dict[str, str]:
    """Return the options by name, ``/Name`` or ``/Name:Value``; a word that is no option has itself as its name."""
    found: dict[str, str] = {}
    for word in words:
        name, _, value = word.partition(":")
        found[name[1:].lower() if name.startswith("/") else word] = value
    return found


def _fail(session: Session, number: int, text: str, *, quiet: bool) -> int:
    if not quiet:
        shown = str(number) if number < 2**16 else f"0x{number:08x}"
        session.print(message(session.pc, "dism-failed", shown, text))
    return number - 2**32 if number >= 2**31 else number
