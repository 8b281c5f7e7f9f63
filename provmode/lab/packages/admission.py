"""Whether a lab PC takes a package: its file, its signature, and what the policies of Security say.

Microsoft documents that the policies refuse; with which HRESULT Windows does it is assumed: that of such a thing.
"""

from __future__ import annotations

from provmode.lab.packages import traces, trust
from provmode.lab.packages.reader import Read, Unreadable, read
from provmode.lab.windows.provisioning import ProvisioningFailed
from provmode.lab.windows.state import PcState

FILE_NOT_FOUND, PATH_NOT_FOUND, ACCESS_DENIED = 0x80070002, 0x80070003, 0x80070005
BAD_DIGEST, NO_SIGNATURE, UNTRUSTED = 0x80096010, 0x800B0100, 0x800B0109


def data_of(pc: PcState, path: str) -> bytes:
    """Return what is in a file.

    Raises:
        ProvisioningFailed: it cannot be read.
    """
    if path.lower().startswith(pc.protected):
        raise ProvisioningFailed(ACCESS_DENIED)
    data = pc.files.read(path)
    if data is None:
        raise ProvisioningFailed(FILE_NOT_FOUND if pc.files.is_folder(path.rpartition("\\")[0]) else PATH_NOT_FOUND)
    return data


def read_file(pc: PcState, path: str) -> Read:
    """Return the package in a file.

    Raises:
        ProvisioningFailed: it cannot be read, or there is none in it that could be applied.
    """
    try:
        return read(data_of(pc, path))
    except Unreadable as error:
        raise ProvisioningFailed(error.code) from error


def admitted(pc: PcState, path: str) -> Read:
    """Return the package in a file if it may be added.

    Raises:
        ProvisioningFailed: it may not.
    """
    data, found = data_of(pc, path), read_file(pc, path)
    if traces.forbids(pc.registry, "AllowAddProvisioningPackage"):
        raise ProvisioningFailed(ACCESS_DENIED)
    try:
        signed = trust.signature_of(data)
    except ValueError:
        raise ProvisioningFailed(BAD_DIGEST) from None
    if signed is not None and not signed.intact:
        raise ProvisioningFailed(BAD_DIGEST)
    if traces.requires_signature(pc.registry):
        if signed is None:
            raise ProvisioningFailed(NO_SIGNATURE)
        if signed.thumbprint not in trust.trusted(pc.registry):
            raise ProvisioningFailed(UNTRUSTED)
    return found
