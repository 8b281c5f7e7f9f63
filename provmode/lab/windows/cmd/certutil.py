"""``certutil -hashfile FILE [ALGORITHM]``: the one verb of it that is modelled.

Windows 10 and later write the hash without blanks; before, in pairs. What fails is said on standard output, and its
HRESULT is the exit code. An empty file has no hash: it cannot be mapped into memory. The lines around the hash are
translated by Windows; the German ones here are translations, the English ones are as published.
"""

from __future__ import annotations

import hashlib

from provmode.lab.windows.cmd.texts import message
from provmode.lab.windows.session import Session

FILE_NOT_FOUND, PATH_NOT_FOUND, ACCESS_DENIED, FILE_INVALID = 2, 3, 5, 1006
UNKNOWN_ALGORITHM = 0xD0000225
_NAMES = {
    FILE_NOT_FOUND: ("ERROR_FILE_NOT_FOUND", "file-not-found"),
    PATH_NOT_FOUND: ("ERROR_PATH_NOT_FOUND", "path-not-found"),
    ACCESS_DENIED: ("ERROR_ACCESS_DENIED", "access-denied"),
    FILE_INVALID: ("ERROR_FILE_INVALID", "file-invalid"),
}
_ALGORITHMS = ("MD5", "SHA1", "SHA256", "SHA384", "SHA512")
INVALID_ARGUMENT = 0x80070057


def certutil(session: Session, words: list[str]) -> int:
    """Run ``certutil`` with these arguments."""
    given = [word for word in words if word[:1] not in "-/"]
    if "hashfile" not in (word[1:].lower() for word in words if word[:1] in "-/") or not 1 <= len(given) <= 2:
        session.print(message(session.pc, "certutil-usage"))
        return _signed(INVALID_ARGUMENT)
    algorithm = given[1].upper() if len(given) > 1 else "SHA1"
    if algorithm not in _ALGORITHMS:
        return _fail(session, f"0x{UNKNOWN_ALGORITHM:08x} (NT: 0xc0000225)", "algorithm-unknown", UNKNOWN_ALGORITHM)
    problem = _problem(session, session.path(given[0]))
    if problem:
        name, text = _NAMES[problem]
        code = 0x80070000 | problem
        return _fail(session, f"0x{code:08x} (WIN32: {problem} {name})", text, code)
    data = session.pc.files.read(session.path(given[0])) or b""
    session.print(message(session.pc, "hash-head", algorithm, given[0]))
    session.print(f"{hashlib.new(algorithm.lower(), data).hexdigest()}\r\n")
    session.print(message(session.pc, "hash-done"))
    return 0


def _problem(session: Session, path: str) -> int:
    """Return the number of the system error with which the file cannot be read; 0: none."""
    files = session.pc.files
    if path.lower().startswith(session.pc.protected) or files.is_folder(path):
        return ACCESS_DENIED
    file = files.get(path)
    if file is not None:
        return 0 if file.data else FILE_INVALID
    return FILE_NOT_FOUND if files.is_folder(path.rpartition("\\")[0]) else PATH_NOT_FOUND


def _fail(session: Session, code_text: str, text: str, code: int) -> int:
    session.print(message(session.pc, "hash-failed", code_text))
    session.print(f"CertUtil: {message(session.pc, text)}")
    return _signed(code)


def _signed(code: int) -> int:
    """Return an HRESULT as an exit code is compared: as a number with a sign."""
    return code - 2**32 if code >= 2**31 else code
