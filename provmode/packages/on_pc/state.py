"""Everything that a fleet wants to know of a PC's packages: some twenty requests and one process."""

from __future__ import annotations

from provmode.packages.on_pc.applied import applied_ids, commands_in, results_in
from provmode.packages.on_pc.files import all_files, package_files
from provmode.packages.on_pc.inventory import hashed, hashes, inventory
from provmode.packages.on_pc.model import PackageFile, PackagesOnPc
from provmode.packages.on_pc.policies import package_policies, trusted_provisioners
from provmode.reading import Absent, Known, Reading
from provmode.windows.conversation import Conversation
from provmode.windows.system import service

PUSH_SERVICE = "dmwappushservice"
"""The engine starts it; scripts of the field start it from inside a package where it is disabled."""


def packages_on_pc() -> Conversation[PackagesOnPc]:
    """Ask everything. If remote shells are forbidden, what needs the process is unknown and the rest is told."""
    places = yield from package_files()
    said = yield from inventory()
    places = yield from hashed(places, said.hashes)
    return PackagesOnPc(
        places,
        results_in(said.registry),
        (yield from applied_ids()),
        commands_in(said.registry),
        (yield from trusted_provisioners()),
        (yield from package_policies()),
        said.events,
        (yield from service(PUSH_SERVICE)),
    )


def packages() -> Conversation[Reading[tuple[PackageFile, ...]]]:
    """Ask which package files are on the PC, with their hashes; absent if there is none."""
    places = yield from package_files()
    found = all_files(places)
    if not isinstance(found, Known) or not found.value:
        return Absent() if isinstance(found, Known) else found
    return all_files((yield from hashed(places, (yield from hashes()))))
