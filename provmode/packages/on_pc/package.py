"""Reading a package where it is on a PC, without copying it."""

from __future__ import annotations

from provmode.errors import AccessDenied, HostError, RemoteFault
from provmode.packages.errors import PackageUnreadable
from provmode.packages.model import Package
from provmode.packages.on_pc.contents import WHOLE, Ranges, with_bytes
from provmode.packages.read import read_package
from provmode.reading import Absent, Known, Reading, Unknown
from provmode.windows.conversation import Conversation, could_not_tell

OF_THE_PACKAGE = "package:"
"""How the cause begins if it is the package that cannot be read, wherever it is."""


def package_on_pc(path: str, sha256: str) -> Conversation[Reading[Package]]:
    """Read the package under *path*, if it has this hash; absent if it is not there.

    A package that is fetched as a whole is checked against its signature; of a larger one is told by whom it is signed.
    """

    def work(source: Ranges, _: str) -> Package:
        return read_package(source, signature=source.size <= WHOLE)

    try:
        package = yield from with_bytes(path, work, expected=sha256)
    except PackageUnreadable as error:
        return Unknown(f"{OF_THE_PACKAGE}{error.cause}", error.what)
    except (RemoteFault, AccessDenied) as error:
        return could_not_tell(error)
    except HostError as error:
        return Unknown(str(error.cause), error.what)
    return Known(package) if package is not None else Absent()
