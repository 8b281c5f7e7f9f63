"""The kinds of step, each one class: what it changes, how it is read back, undone and shown, and its JSON form.

`provmode.remediation.steps.base` says what a new kind needs.
"""

from provmode.remediation.steps.base import CLIENT, KINDS, PACKAGES, TRACES, About, Property, Step, step_from_json
from provmode.remediation.steps.client import RequestPolicy, SetMode
from provmode.remediation.steps.file import DisarmTcf, SetFile
from provmode.remediation.steps.package import AddPackage, RemovePackage
from provmode.remediation.steps.registry import SetRegistryKey, SetRegistryValue, data_text
from provmode.remediation.steps.service import (
    START_MODES,
    SetServiceDependencies,
    SetServiceState,
    SetStartMode,
    service_resource,
)
from provmode.remediation.steps.trace import DeleteTrace, DeleteUpload, EndLease, RemoveGuard
from provmode.remediation.steps.trusted_provisioner import SetTrustedProvisioner

__all__ = [
    "CLIENT",
    "KINDS",
    "PACKAGES",
    "START_MODES",
    "TRACES",
    "About",
    "AddPackage",
    "DeleteTrace",
    "DeleteUpload",
    "DisarmTcf",
    "EndLease",
    "Property",
    "RemoveGuard",
    "RemovePackage",
    "RequestPolicy",
    "SetFile",
    "SetMode",
    "SetRegistryKey",
    "SetRegistryValue",
    "SetServiceDependencies",
    "SetServiceState",
    "SetStartMode",
    "SetTrustedProvisioner",
    "Step",
    "data_text",
    "service_resource",
    "step_from_json",
]
