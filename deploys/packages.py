"""Bring provisioning packages to the list in the inventory: ``pyinfra INVENTORY deploys/packages.py --dry --diff``.

The data of a host names what should be there, and what should not::

    provmode_trusted_provisioners = [{"file": "packages/signer.cer"}]
    provmode_packages = [
        {"file": "packages/kiosk.ppkg"},
        {"id": "{b84f2c39-eb59-4d4f-8ad1-0f93cec1384e}", "present": False},
    ]

Trusted provisioners come first, then removals, then additions in the order of the list. What the list does not name is
left alone, and so is a host whose data has neither list. A PC on which Windows Setup, a task sequence or an upgrade
runs is not touched. A package that is named by id, version and sha256, without a file, is checked; it cannot be added.

If the configuration file of provmode names a file of waivers, windows, blackouts or a gate, nothing is changed on any
host: they are heeded by ``provmode plan`` and ``provmode apply`` alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pyinfra import host, state
from pyinfra.api import DeployError, deploy
from pyinfra.context import ctx_state

from operations import packages
from operations.step import one_lease
from provmode.connector.not_heeded import not_heeded
from provmode.errors import UsageError
from provmode.packages.wanted import (
    PACKAGES,
    PROVISIONERS,
    WantedPackage,
    WantedProvisioner,
    wanted_packages,
    wanted_provisioners,
)

logger = logging.getLogger("pyinfra")


@deploy("Provisioning packages")
def bring() -> None:
    """
    Bring this host's packages to the lists in its data, as the module describes.

    Raises:
        DeployError: the configuration file says something that is not heeded here, such as which PCs are held.
    """
    unheeded = not_heeded()
    if unheeded:
        raise DeployError(unheeded)
    where = f"data of {host.name}"
    data = {key: host.data.get(key) for key in (PACKAGES, PROVISIONERS) if host.data.get(key) is not None}
    try:
        provisioners, wanted = wanted_provisioners(data, where), wanted_packages(data, where)
    except UsageError as error:
        host.log(f"left alone: {error}", logger.error)
        return
    if provisioners is None and wanted is None:
        host.log("left alone: its data says nothing of packages")
        return
    with one_lease():
        _operations(provisioners or (), wanted or ())


def _operations(provisioners: Sequence[WantedProvisioner], wanted: Sequence[WantedPackage]) -> None:
    for each in provisioners:
        whose = each.file or each.thumbprint
        packages.trusted_provisioner(
            name=f"Trust {whose}" if each.present else f"Do not trust {whose}",
            file=each.file,
            thumbprint=each.thumbprint,
            present=each.present,
        )
    for package in wanted:
        if not package.present:
            packages.absent(name=f"No package {package.id}", id=package.id)
    trusting = packages.thumbprints([each.file for each in provisioners if each.present and each.file])
    for package in wanted:
        if package.present:
            packages.present(
                name=f"Package {package.file or package.id}",
                file=package.file,
                id=package.id,
                version=package.version,
                sha256=package.sha256,
                trusting=trusting,
            )


if ctx_state.isset() and getattr(state, "current_exec_filename", None) == __file__:
    bring()
