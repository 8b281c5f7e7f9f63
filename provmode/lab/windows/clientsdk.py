"""``root\\ccm\\ClientSDK`` of the modelled client: deployments, service windows, a pending restart.

Classes, properties and types are those of Microsoft's reference of the Client SDK: ``CCM_Program``,
``CCM_Application``, ``CCM_SoftwareUpdate`` (all three derived from ``CCM_SoftwareBase``), ``CCM_ServiceWindow`` and
``CCM_ClientUtilities.DetermineIfRebootPending``; unused properties are left out. That a client always has a service
window of type 6 is an observation from the field (a policy of source ``LOCAL``, github.com/rzander/sccmclictr issue
71). How the outputs of a pending restart relate is assumed: Microsoft only names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from provmode.lab.windows.configmgr import Client
from provmode.lab.windows.deployments import Deployment, Kind
from provmode.lab.windows.schema import CimClass, Method, Properties
from provmode.lab.windows.state import PcState

NAMESPACE = "root/ccm/clientsdk"
HIDEABLE_UNTIL = timedelta(minutes=15)
"""How long before a restart its notice can no longer be hidden (the default of the client setting)."""


def _client(pc: PcState) -> Client:
    assert isinstance(pc.client, Client)
    return pc.client


def _instances_of(
    kind: Kind, more: Callable[[Deployment, int, bool], Properties]
) -> Callable[[PcState], Iterable[Properties]]:
    """Return the instances of a class; *more* returns the properties that the base class does not have."""

    def instances(pc: PcState) -> Iterable[Properties]:
        client = _client(pc)
        for number, item in enumerate(client.deployments):
            if item.kind is kind:
                base = {"Deadline": item.deadline, "ErrorCode": 0, "FullName": item.name, "Name": item.name}
                yield {**base, "PercentComplete": 0, **more(item, number, item.name in client.installs)}

    return instances


def _program(item: Deployment, number: int, installing: bool) -> Properties:
    return {"EvaluationState": 14 if installing else 1, "PackageID": f"PS1{number:05X}", "ProgramID": item.name}


def _application(item: Deployment, number: int, installing: bool) -> Properties:
    return {
        "ApplicabilityState": "Applicable",
        "EvaluationState": 1 if item.installed else 12 if installing else 3,
        "FullName": None,
        "Id": f"ScopeId_{uuid5(NAMESPACE_URL, 'PS1')}/Application_{uuid5(NAMESPACE_URL, item.name)}",
        "InstallState": "Installed" if item.installed else "NotInstalled",
        "IsMachineTarget": True,
        "ResolvedState": "Installed" if item.deadline is not None else "Any",
        "Revision": "1",
    }


def _software_update(item: Deployment, number: int, installing: bool) -> Properties:
    update = f"Site_{uuid5(NAMESPACE_URL, 'PS1')}/SUM_{uuid5(NAMESPACE_URL, item.name)}"
    return {
        **{"ArticleID": f"50{number:05}", "ComplianceState": 0, "EvaluationState": 7 if installing else 1},
        **{"FullName": None, "UpdateID": update},  # FullName: "not used"
    }


def _service_windows(pc: PcState) -> Iterable[Properties]:
    now = pc.now()
    for window in _client(pc).service_windows:
        begin, end = window.occurrence(now)
        yield {
            "Duration": int(window.duration.total_seconds()),
            "EndTime": end,
            "ID": window.identifier,
            "StartTime": begin,
            "Type": int(window.type),
        }


def _determine_if_reboot_pending(pc: PcState, _: Properties, arguments: dict[str, Any]) -> dict[str, Any]:
    restart = _client(pc).pending_restart
    deadline = restart.deadline if restart is not None else None
    return {
        "DisableHideTime": deadline - HIDEABLE_UNTIL if deadline is not None else None,
        "InGracePeriod": deadline is not None and pc.now() < deadline,
        "IsHardRebootPending": restart is not None and restart.hard,
        "RebootDeadline": deadline,
        "RebootPending": restart is not None,
        "ReturnValue": 0,
    }


_BASE = {
    **dict.fromkeys(("FullName", "Name"), "string"),
    **dict.fromkeys(("ErrorCode", "EvaluationState", "PercentComplete"), "uint32"),
    "Deadline": "datetime",
}
"""The properties of ``CCM_SoftwareBase``."""

CLASSES = (
    CimClass(
        NAMESPACE,
        Kind.PROGRAM.value,
        {**_BASE, "PackageID": "string", "ProgramID": "string"},
        _instances_of(Kind.PROGRAM, _program),
        keys=("PackageID", "ProgramID"),
    ),
    CimClass(
        NAMESPACE,
        Kind.APPLICATION.value,
        {
            **_BASE,
            **dict.fromkeys(("ApplicabilityState", "Id", "InstallState", "ResolvedState", "Revision"), "string"),
            "IsMachineTarget": "boolean",
        },
        _instances_of(Kind.APPLICATION, _application),
        keys=("Id", "IsMachineTarget", "Revision"),
    ),
    CimClass(
        NAMESPACE,
        Kind.SOFTWARE_UPDATE.value,
        {**_BASE, "ArticleID": "string", "ComplianceState": "uint32", "UpdateID": "string"},
        _instances_of(Kind.SOFTWARE_UPDATE, _software_update),
        keys=("UpdateID",),
    ),
    CimClass(
        NAMESPACE,
        "CCM_ServiceWindow",
        {"Duration": "uint32", "EndTime": "datetime", "ID": "string", "StartTime": "datetime", "Type": "uint32"},
        _service_windows,
        keys=("ID",),
    ),
    CimClass(
        NAMESPACE,
        "CCM_ClientUtilities",
        {},
        lambda pc: (),
        methods={"DetermineIfRebootPending": Method({}, _determine_if_reboot_pending, static=True)},
    ),
)
